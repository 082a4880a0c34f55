/**
 * Reads a kubeconfig file: context, cluster and user become a KubeTarget. Certificates and keys may lie in the file (base64)
 * or beside it; paths are relative to the file, as kubectl takes them.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { load } from 'js-yaml';
import { fail, ok, type Result } from '#base/result.ts';
import { Secret } from '#base/secret.ts';
import type { ExecPlugin, KubeCredential, KubeTarget, KubeTls } from './kube-target.ts';

const MAX_FILE_BYTES = 4 * 1024 * 1024;

type Fields = Readonly<Record<string, unknown>>;

/** Reads a file and picks a context ('' or absent: the current one). Errors: a text for people, without secrets. */
export function readKubeconfig(file: string, context = ''): Result<KubeTarget, string> {
  try {
    return ok(targetOf(parse(readText(file), file), context, dirname(resolve(file))));
  } catch (error) {
    return fail(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readText(file: string): string {
  if (statSync(file).size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
  return readFileSync(file, 'utf8');
}

/** The parser's own messages quote the text, which may hold keys: they are left out. */
function parse(text: string, file: string): Fields {
  let value: unknown;
  try {
    value = load(text);
  } catch {
    throw new Error('is not valid YAML');
  }
  if (!isFields(value)) throw new Error(`${file} is no kubeconfig`);
  return value;
}

function targetOf(config: Fields, wanted: string, folder: string): KubeTarget {
  const contextName = wanted === '' ? textOf(config, 'current-context') : wanted;
  if (contextName === '') throw new Error('no current-context, and no context was asked for');
  const context = named(config, 'contexts', 'context', contextName);
  const cluster = named(config, 'clusters', 'cluster', textOf(context, 'cluster'));
  const userName = textOf(context, 'user');
  const user = userName === '' ? {} : named(config, 'users', 'user', userName);
  const server = textOf(cluster, 'server').replace(/\/+$/, '');
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) {
    throw new Error(`the server of context ${contextName} is no http or https URL`);
  }
  if (textOf(cluster, 'proxy-url') !== '') throw new Error('proxy-url is not supported');
  return {
    server,
    tls: tlsOf(cluster, user, folder),
    credential: credentialOf(user, folder),
    namespace: textOf(context, 'namespace') || 'default',
  };
}

function tlsOf(cluster: Fields, user: Fields, folder: string): KubeTls {
  const ca = pemOf(cluster, 'certificate-authority', folder);
  const certificate = pemOf(user, 'client-certificate', folder);
  const key = pemOf(user, 'client-key', folder);
  const serverName = textOf(cluster, 'tls-server-name');
  return {
    insecure: cluster['insecure-skip-tls-verify'] === true,
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key: new Secret(key) }),
    ...(serverName === '' ? {} : { serverName }),
  };
}

/** kubectl's order: a token file wins over a token, both over a name and password, all over a plugin. */
function credentialOf(user: Fields, folder: string): KubeCredential {
  const tokenFile = textOf(user, 'tokenFile');
  if (tokenFile !== '') return { kind: 'tokenFile', file: resolve(folder, tokenFile) };
  const token = textOf(user, 'token');
  if (token !== '') return { kind: 'token', token: new Secret(token) };
  const name = textOf(user, 'username');
  if (name !== '') return { kind: 'basic', user: name, password: new Secret(textOf(user, 'password')) };
  const exec = user['exec'];
  return isFields(exec) ? { kind: 'exec', plugin: pluginOf(exec, folder) } : { kind: 'none' };
}

function pluginOf(exec: Fields, folder: string): ExecPlugin {
  const command = textOf(exec, 'command');
  if (command === '') throw new Error('users[].user.exec has no command');
  const env = new Map<string, string>();
  for (const item of listOf(exec, 'env'))
    if (isFields(item)) env.set(textOf(item, 'name'), textOf(item, 'value'));
  return {
    apiVersion: textOf(exec, 'apiVersion') || 'client.authentication.k8s.io/v1',
    // A path with a slash is relative to the file, a bare name is looked up on PATH.
    command: command.includes('/') ? resolve(folder, command) : command,
    args: listOf(exec, 'args').map(String),
    env,
    installHint: textOf(exec, 'installHint'),
    provideClusterInfo: exec['provideClusterInfo'] === true,
  };
}

/** PEM text from `NAME-data` (base64) or from the file that `NAME` names; the data win, as with kubectl. */
function pemOf(fields: Fields, name: string, folder: string): string | undefined {
  const data = textOf(fields, `${name}-data`);
  if (data !== '') return Buffer.from(data, 'base64').toString('utf8');
  const file = textOf(fields, name);
  return file === '' ? undefined : readText(resolve(folder, file));
}

function named(config: Fields, list: string, part: string, name: string): Fields {
  for (const item of listOf(config, list)) {
    if (isFields(item) && textOf(item, 'name') === name) return isFields(item[part]) ? item[part] : {};
  }
  throw new Error(`no ${part} named '${name}'`);
}

function listOf(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name];
  return Array.isArray(value) ? value : [];
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  return typeof value === 'string' ? value : '';
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
