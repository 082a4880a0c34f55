/**
 * pilot-agent: the program beside each Envoy (Istio's name, flags and files). Bundled into dist/pilot-agent.cjs by
 * tools/build-agent.ts; nothing of the control plane may come in here.
 *
 * Whoever starts agents on one machine (standalone/) runs `bin/pilot-agent proxy sidecar` per workload with the workload's folder as working
 * directory, stdout and stderr on files (not on node's 'pipe': Envoy cannot open a socket as /dev/stdout), and:
 *   who         POD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN, INSTANCE_IP, ISTIO_META_WORKLOAD_NAME,
 *               ISTIO_META_CLUSTER_ID, ISTIO_META_MESH_ID, ISTIO_META_INTERCEPTION_MODE (NONE), ISTIO_META_HTTP_PROXY_PORT …,
 *               ISTIO_METAJSON_LABELS and ISTIO_METAJSON_ANNOTATIONS (JSON objects)
 *   where to    PROXY_CONFIG (JSON: discoveryAddress, controlPlaneAuthPolicy MUTUAL_TLS or NONE, concurrency, drainDuration,
 *               terminationDrainDuration, proxyAdminPort, statusPort, configPath, binaryPath, proxyMetadata …), CA_ADDR
 *               (default: discoveryAddress; http:// for plaintext), XDS_ROOT_CA and CA_ROOT_CA (PEM files), ISTIOD_SAN
 *   proof       LATEEN_TOKEN_PATH (read again for each connection: write a fresh token there before the old one ends)
 *   addresses   LATEEN_ADMIN_ADDRESS (15000), LATEEN_LISTEN_ADDRESS (15020, 15090, 15021), LATEEN_UPSTREAM_SOURCE_ADDRESS,
 *               LATEEN_APP_ADDRESS (where ISTIO_PROMETHEUS_ANNOTATIONS are scraped); ports: ENVOY_STATUS_PORT, ENVOY_PROMETHEUS_PORT
 *   files       ENVOY_PATH, LATEEN_SDS_SOCKET; all else under configPath; relative paths keep Unix socket names short
 *   identity    PROV_CERT, OUTPUT_CERTS, FILE_MOUNTED_CERTS, CA_PROVIDER, CA_HEADER_*, ISTIO_META_CERT_SIGNER; WORKLOAD_IDENTITY_SOCKET_FILE
 *   DNS         ISTIO_META_DNS_CAPTURE (answers at localhost, or LISTEN, port 15053), DNS_PROXY_ADDR, DNS_FORWARD_PARALLEL, DNS_FORWARD_TIMEOUT, LATEEN_RESOLV_CONF
 *   libraries   GRPC_XDS_BOOTSTRAP (file to write), OUTPUT_CERTS (folder), DISABLE_ENVOY
 * Ready: GET http://LISTEN:15021/healthz/ready is 200. Stop: SIGTERM, exit 0 once Envoy has drained and nothing is left.
 * Exit codes: 0 ok, 1 failure (Envoy cannot be brought up, a port is taken), 2 usage.
 */
import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { AgentMetrics } from '#agent/agent-metrics.ts';
import { parseAgentOptions, type ProxyFlags } from '#agent/agent-options.ts';
import { AGENT_PREFIXES, AGENT_VARIABLES } from '#agent/agent-variables.ts';
import { Agent } from '#agent/agent.ts';
import { callHttp, openHttp } from '#agent/http-call.ts';
import { findSecretSockets } from '#agent/secret-sockets.ts';
import { systemClock } from '#base/clock.ts';
import { createLogger, type Logger, LogLevels } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import { judgeVariables, printVariableFindings } from '#base/variable-table.ts';
import { ISTIO_VERSION, VERSION } from './version.ts';

const usage = `Usage:
  pilot-agent proxy [sidecar|router] [flags]     run Envoy for a workload or a gateway
  pilot-agent request METHOD PATH [BODY]         ask Envoy's admin, for example: request GET stats
  pilot-agent wait [flags]                       wait until Envoy is ready
  pilot-agent version [-s] [-o json]
`;

/** Those without an effect here are taken, since injected pods pass them. */
const stringFlags = (
  'concurrency domain meshConfig outlierLogPath proxyLogLevel proxyComponentLogLevel serviceCluster stsPort templateFile ' +
  'tokenManagerPlugin log_output_level log_target log_caller log_stacktrace_level ' +
  'url timeoutSeconds periodMillis requestTimeoutMillis debug-port output'
).split(' ');
const switches = ['profiling', 'log_as_json', 'short', 'help'];
const shortForms = new Map([
  ['short', 's'],
  ['output', 'o'],
  ['help', 'h'],
]);

interface Command {
  readonly words: readonly string[];
  readonly flag: (name: string) => string | undefined;
  readonly isSet: (name: string) => boolean;
}

/** A mistake in how the program was called. */
class UsageError extends Error {}

function readCommand(argv: readonly string[]): Command {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {};
  for (const name of [...stringFlags, ...switches]) {
    const short = shortForms.get(name);
    const type = switches.includes(name) ? 'boolean' : 'string';
    options[name] = { type, ...(short === undefined ? {} : { short }) };
  }
  // Go's flags take --x=true for a switch, parseArgs does not.
  const isSwitchOff = (word: string): boolean => switches.some((name) => word === `--${name}=false`);
  const args = argv.filter((word) => !isSwitchOff(word)).map((word) => word.replace(/^(--\w+)=true$/, '$1'));
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    return {
      words: positionals,
      flag: (name) => (typeof values[name] === 'string' ? values[name] : undefined),
      isSet: (name) => values[name] === true,
    };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function main(): Promise<number> {
  const command = readCommand(process.argv.slice(2));
  const [verb] = command.words;
  if (command.isSet('help')) return print(usage);
  if (verb === 'proxy') return runProxy(command);
  if (verb === 'request') return runRequest(command);
  if (verb === 'wait') return runWait(command);
  if (verb === 'version') return printVersion(command);
  throw new UsageError(verb === undefined ? 'no command' : `unknown command "${verb}"`);
}

async function runProxy(command: Command): Promise<number> {
  const kind = command.words[1] ?? 'sidecar';
  if (kind !== 'sidecar' && kind !== 'router')
    throw new UsageError(`"${kind}" is neither sidecar nor router`);
  const flags: ProxyFlags = {
    kind,
    domain: command.flag('domain'),
    concurrency: command.flag('concurrency'),
    serviceCluster: command.flag('serviceCluster'),
    proxyLogLevel: command.flag('proxyLogLevel'),
    proxyComponentLogLevel: command.flag('proxyComponentLogLevel'),
    outlierLogPath: command.flag('outlierLogPath'),
  };
  const environment = readEnvironment();
  const findings = judgeVariables(Object.fromEntries(environment), AGENT_VARIABLES, AGENT_PREFIXES);
  const { warnings, errors } = printVariableFindings(findings);
  if (errors.length > 0) throw new UsageError(errors.join('\n'));
  const around = {
    environment,
    hostname: hostname(),
    addresses: findAddresses(),
    version: ISTIO_VERSION,
    isRoot: process.getuid?.() === 0,
    launcher: await findLauncher(environment),
    isFile: (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true,
  };
  const options = parseAgentOptions(flags, around);
  if (!options.ok) throw new UsageError(options.error);
  const log = makeLogger(command);
  for (const warning of warnings) log.warn(warning);
  const metrics = new AgentMetrics(VERSION);
  const clock = systemClock();
  const sockets = await findSecretSockets(options.value.sockets, clock);
  if (!sockets.ok) throw new Error(sockets.error);
  const agent = new Agent(options.value, { clock, rng: systemRng(), log, metrics }, sockets.value);
  return runUntilEnd(agent, log);
}

async function runUntilEnd(agent: Agent, log: Logger): Promise<number> {
  const stop = Promise.withResolvers<void>();
  let signals = 0;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals++;
      log.info(`got ${signal}`);
      // The second one means now; Envoy goes with its parent.
      if (signals > 1) process.exit(1);
      stop.resolve();
    });
  }
  let exitCode = 0;
  try {
    await agent.start();
    await Promise.race([stop.promise, agent.ended()]);
  } catch (error) {
    log.error('agent failed', { error });
    exitCode = 1;
  }
  await agent.stop();
  log.info('agent stopped');
  return exitCode;
}

function makeLogger(command: Command): Logger {
  const levels = new LogLevels();
  const mistake = levels.apply(command.flag('log_output_level') ?? '');
  if (mistake !== undefined) throw new UsageError(`--log_output_level: ${mistake}`);
  const format = command.isSet('log_as_json') ? 'json' : 'text';
  return createLogger({
    clock: systemClock(),
    levels,
    format,
    sink: (line) => process.stdout.write(`${line}\n`),
  });
}

async function runRequest(command: Command): Promise<number> {
  const [, method, path, body] = command.words;
  if (method === undefined || path === undefined) throw new UsageError('request needs METHOD and PATH');
  const host = readEnvironment().get('LATEEN_ADMIN_ADDRESS') ?? '127.0.0.1';
  const port = Number(command.flag('debug-port') ?? 15000);
  const response = await openHttp({
    host,
    port,
    path: path.startsWith('/') ? path : `/${path}`,
    method: method.toUpperCase(),
    timeoutMs: 60_000,
    ...(body === undefined ? {} : { body }),
  });
  const isOk = response.statusCode === 200;
  if (!isOk) process.stderr.write(`Envoy answered with status ${response.statusCode}: `);
  const output = isOk ? process.stdout : process.stderr;
  for await (const chunk of response) {
    if (!output.write(chunk)) await new Promise<void>((resolve) => output.once('drain', () => resolve()));
  }
  return isOk ? 0 : 1;
}

async function runWait(command: Command): Promise<number> {
  const url = new URL(command.flag('url') ?? 'http://localhost:15021/healthz/ready');
  const timeoutMs = Number(command.flag('timeoutSeconds') ?? 60) * 1000;
  const periodMs = Number(command.flag('periodMillis') ?? 500);
  const requestMs = Number(command.flag('requestTimeoutMillis') ?? 500);
  const clock = systemClock();
  const endMs = clock.monotonicMs() + timeoutMs;
  const target = {
    host: url.hostname,
    port: Number(url.port || 80),
    path: url.pathname,
    timeoutMs: requestMs,
  };
  let reason = '';
  while (clock.monotonicMs() < endMs) {
    const answer = await callHttp(target).catch((error: unknown) => ({ status: 0, body: String(error) }));
    if (answer.status === 200) return print('Envoy is ready!\n');
    reason = answer.body;
    await new Promise<void>((resolve) => clock.schedule(periodMs, resolve));
  }
  process.stderr.write(`timeout waiting for Envoy proxy to become ready: ${reason}\n`);
  return 1;
}

function printVersion(command: Command): number {
  const version = VERSION;
  const format = command.flag('output');
  if (format !== undefined && format !== 'json') throw new UsageError('--output takes json');
  if (format === 'json') return print(`${JSON.stringify({ clientVersion: { version } }, null, 2)}\n`);
  return print(command.isSet('short') ? `${version}\n` : `version.BuildInfo{Version:"${version}"}\n`);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function readEnvironment(): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** util-linux' setpriv, where it is there and knows the option (busybox has one that does not). */
async function findLauncher(environment: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const folders = (environment.get('PATH') ?? '').split(':').filter((folder) => folder.startsWith('/'));
  const program = folders.map((folder) => join(folder, 'setpriv')).find((path) => existsSync(path));
  if (program === undefined) return [];
  const launcher = [program, '--pdeathsig', 'TERM', '--'];
  const works = await promisify(execFile)(program, [...launcher.slice(1), 'true']).then(
    () => true,
    () => false,
  );
  return works ? launcher : [];
}

function findAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter((one) => !one.internal && !one.address.startsWith('fe80:')).map((one) => one.address);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(error instanceof UsageError ? `${text}\n\n${usage}` : `${text}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
