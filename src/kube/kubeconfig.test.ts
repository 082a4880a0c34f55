/** kubeconfig files and credentials: contexts, files beside the config, plugins, tokens that change. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { Secret } from '#base/secret.ts';
import { readInCluster } from './in-cluster.ts';
import { readKubeconfig } from './kubeconfig.ts';
import type { KubeCredential, KubeTarget } from './kube-target.ts';
import { TokenSource } from './token-source.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lateen-kube-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text, { mode: 0o755 });
  return join(folder, name);
}

const CONFIG = `
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, user: u}}
- {name: two, context: {cluster: d, user: v, namespace: prod}}
clusters:
- {name: c, cluster: {server: "https://api:6443/", certificate-authority-data: ${Buffer.from('CA').toString('base64')}, tls-server-name: kube}}
- {name: d, cluster: {server: "http://127.0.0.1:1", insecure-skip-tls-verify: true, certificate-authority: ca.pem}}
users:
- {name: u, user: {token: t1}}
- {name: v, user: {client-certificate: cert.pem, client-key-data: ${Buffer.from('KEY').toString('base64')}, tokenFile: tok}}
`;

test('the current context is read, and another one when asked for', () => {
  const file = write('config', CONFIG);
  write('ca.pem', 'CA2');
  write('cert.pem', 'CERT');
  deepStrictEqual(readKubeconfig(file), {
    ok: true,
    value: {
      server: 'https://api:6443',
      tls: { insecure: false, ca: 'CA', serverName: 'kube' },
      credential: { kind: 'token', token: new Secret('t1') },
      namespace: 'default',
    },
  });
  deepStrictEqual(readKubeconfig(file, 'two'), {
    ok: true,
    value: {
      server: 'http://127.0.0.1:1',
      tls: { insecure: true, ca: 'CA2', certificate: 'CERT', key: new Secret('KEY') },
      credential: { kind: 'tokenFile', file: join(folder, 'tok') },
      namespace: 'prod',
    },
  });
});

for (const [name, text, problem] of [
  ['no context', 'kind: Config\n', /no current-context/],
  ['a context that is not there', 'current-context: x\n', /no context named 'x'/],
  ['no YAML, and its text is not shown', 'token: "secret\n', /^[^\n]*is not valid YAML$/],
  ['a server that is no URL', CONFIG.replace('https://api:6443/', 'ftp://x'), /no http or https URL/],
  ['a list', '- a\n', /is no kubeconfig/],
] as const) {
  test(`a kubeconfig with ${name} is an error`, () => {
    const read = readKubeconfig(write('config', text));
    match(read.ok ? '' : read.error, problem);
  });
}

test('in a pod the service account is used', () => {
  write('ca.crt', 'CA');
  write('namespace', 'istio-system\n');
  const read = readInCluster({ host: 'fd00::1', port: '443', folder });
  deepStrictEqual(read.ok && [read.value.server, read.value.namespace], [
    'https://[fd00::1]:443',
    'istio-system',
  ]);
  ok(!readInCluster({ host: '', port: '', folder }).ok);
});

function tokens(credential: KubeCredential, clock = new TestClock()): TokenSource {
  const target: KubeTarget = {
    server: 'https://api',
    tls: { insecure: false },
    credential,
    namespace: 'default',
  };
  return new TokenSource(target, { clock, env: { PATH: process.env['PATH'] } });
}

async function headerOf(source: TokenSource): Promise<string | undefined> {
  return (await source.header())?.reveal();
}

test('a token file is read again after a minute, and at once after a refusal', async () => {
  const clock = new TestClock(1_000_000);
  const source = tokens({ kind: 'tokenFile', file: write('tok', 'a\n') }, clock);
  strictEqual(await headerOf(source), 'Bearer a');
  write('tok', 'b\n');
  strictEqual(await headerOf(source), 'Bearer a');
  clock.advance(60_000);
  strictEqual(await headerOf(source), 'Bearer b');
  write('tok', 'c');
  clock.advance(10_000);
  ok(source.refused());
  strictEqual(await headerOf(source), 'Bearer c');
  ok(!source.refused(), 'not twice within seconds');
  rmSync(join(folder, 'tok'));
  clock.advance(60_000);
  strictEqual(await headerOf(source), 'Bearer c', 'a file that is away leaves the last token');
});

test('a token that a header cannot hold is an error that does not show it', async () => {
  await rejects(
    headerOf(tokens({ kind: 'token', token: new Secret('a\r\nb') })),
    /characters that a header cannot hold/,
  );
});

function plugin(script: string): KubeCredential {
  const command = write('plugin', `#!/bin/sh\n${script}\n`);
  const env = new Map([['EXTRA', 'x']]);
  const apiVersion = 'client.authentication.k8s.io/v1';
  return {
    kind: 'exec',
    plugin: { apiVersion, command, args: ['arg'], env, installHint: 'get it', provideClusterInfo: true },
  };
}

test('a plugin gets its environment and is run again before its token ends', async () => {
  const clock = new TestClock(Date.UTC(2030, 0, 1));
  const source = tokens(
    plugin(
      `echo x >> ${folder}/runs; printf '{"status":{"token":"%s-%s-%s","expirationTimestamp":"2030-01-01T00:10:00Z"}}' $1 $EXTRA $(wc -l < ${folder}/runs | tr -d ' ')\n` +
        `case "$KUBERNETES_EXEC_INFO" in *'"server":"https://api"'*) ;; *) exit 1;; esac`,
    ),
    clock,
  );
  strictEqual(await headerOf(source), 'Bearer arg-x-1');
  clock.advance(5 * 60_000);
  strictEqual(await headerOf(source), 'Bearer arg-x-1');
  clock.advance(5 * 60_000);
  strictEqual(await headerOf(source), 'Bearer arg-x-2');
});

test('a plugin that fails or prints nonsense is an error with its hint, without its output', async () => {
  await rejects(headerOf(tokens(plugin('echo secret; exit 3'))), /plugin failed \(3\): get it$/);
  await rejects(headerOf(tokens(plugin('echo secret'))), /did not print JSON$/);
  await rejects(headerOf(tokens(plugin('echo "{}"'))), /gave no token$/);
});
