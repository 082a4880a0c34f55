/**
 * `lateen up` on a copy of samples/bookinfo, as a program of its own and in a user folder of its own, with the command line
 * as users have it, and callers that keep their connections. Stopping says what is left, which must be nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { makeDemoFolder } from '#cli/demo-folder.ts';
import { ControlClient } from '#cli/control-client.ts';
import {
  type ApplyAnswer,
  type ApplyRequest,
  CONTROL_PATHS,
  type DeleteRequest,
  type MeshStatus,
  type ReplicaStatus,
} from '#doors/control-protocol.ts';
import { UserFolder } from '#standalone/user-folder.ts';
import type { Change } from './valid-changes.ts';
import { familyOf, leftOvers } from './left-overs.ts';
import { freePort } from './static-envoy.ts';

const projectRoot = join(import.meta.dirname, '..', '..');
const lateen = join(projectRoot, 'bin', 'lateen');
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 30_000;
const REQUEST_LIMIT_MS = 30_000;

/** What a command said. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a page request got. */
export interface Page {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly tookMs: number;
}

export interface PageRequest {
  readonly method?: 'GET' | 'POST';
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A running Bookinfo. */
export interface BookinfoMesh {
  readonly gatewayPort: number;
  /** The mesh's folder, without symbolic links. */
  readonly dir: string;
  /** For what a test writes; gone with the mesh. */
  readonly scratch: string;
  /** From starting the program to its saying that it runs. */
  readonly startMs: number;
  /** Runs a command of the command line. */
  lateen(args: readonly string[], input?: string): Promise<CommandResult>;
  /** The same; fails when the command does. */
  run(args: readonly string[], input?: string): Promise<string>;
  /** Applies files of samples/bookinfo and waits until every proxy has them. */
  apply(...files: readonly string[]): Promise<void>;
  /** Applies YAML and waits until every proxy has it. */
  applyText(yaml: string): Promise<void>;
  status(): Promise<MeshStatus>;
  replica(workload: string): Promise<ReplicaStatus>;
  /** Resolves when every replica is ready. */
  ready(): Promise<void>;
  /** Applies or removes over the control socket, as the command line does, without starting a program for it. */
  change(change: Change, wait: boolean): Promise<void>;
  /** A request to the gateway over a connection that is kept. */
  page(what?: PageRequest): Promise<Page>;
  /** Headers of a browser in which this user has signed in. */
  signIn(user: string): Promise<Readonly<Record<string, string>>>;
  /** Stops the mesh and gives what is left of it. */
  stop(): Promise<readonly string[]>;
}

export interface BookinfoOptions {
  /** YAML of mesh config. */
  readonly meshConfig?: string;
}

/** Starts Bookinfo and waits until the program says that it runs. */
export async function startBookinfo(options: BookinfoOptions = {}): Promise<BookinfoMesh> {
  const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'lateen-test-')));
  const gatewayPort = await freePort('127.0.0.1');
  const folder = makeDemoFolder(join(projectRoot, 'samples'), scratch, gatewayPort);
  const environment = { ...process.env, XDG_RUNTIME_DIR: scratch, LATEEN_DIR: folder.dir };
  const started = performance.now();
  const program = spawn(lateen, ['up', folder.dir, ...meshConfigOption(scratch, options)], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  const place = { scratch, dir: folder.dir, gatewayPort, program, output };
  try {
    await whenRunning(program, output);
  } catch (error) {
    await stopBookinfo(place);
    throw error;
  }
  const startMs = performance.now() - started;
  return bookinfoMesh(place, startMs, (args, input) => runCommand(lateen, args, environment, input));
}

function meshConfigOption(scratch: string, { meshConfig }: BookinfoOptions): readonly string[] {
  if (meshConfig === undefined) return [];
  const file = join(scratch, 'mesh-config.yaml');
  writeFileSync(file, meshConfig);
  return ['--mesh-config', file];
}

interface Place {
  readonly scratch: string;
  readonly dir: string;
  readonly gatewayPort: number;
  readonly program: ChildProcess;
  readonly output: readonly string[];
}

function bookinfoMesh(
  place: Place,
  startMs: number,
  command: (args: readonly string[], input?: string) => Promise<CommandResult>,
): BookinfoMesh {
  const { scratch, dir, gatewayPort } = place;
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const run = async (args: readonly string[], input?: string): Promise<string> => {
    const result = await command(args, input);
    if (result.code === 0) return result.stdout;
    throw new Error(`lateen ${args.join(' ')} ended with ${result.code}:\n${result.stdout}${result.stderr}`);
  };
  const status = async (): Promise<MeshStatus> =>
    JSON.parse(await run(['status', '-o', 'json'])) as MeshStatus;
  const page = (what: PageRequest = {}): Promise<Page> => fetchPage(gatewayPort, agent, what);
  return {
    scratch,
    dir,
    gatewayPort,
    startMs,
    lateen: command,
    run,
    status,
    page,
    async apply(...files) {
      const paths = files.flatMap((file) => ['-f', join(projectRoot, 'samples', 'bookinfo', file)]);
      await run(['apply', '--wait', ...paths]);
    },
    async applyText(yaml) {
      await run(['apply', '--wait', '-f', '-'], yaml);
    },
    async ready() {
      const until = performance.now() + START_LIMIT_MS;
      for (;;) {
        const { workloads, gateways } = await status();
        if ([...workloads, ...gateways].every((one) => one.ready)) return;
        if (performance.now() > until) throw new Error(`not ready: ${JSON.stringify(workloads)}`);
      }
    },
    change: (one, wait) => sendChange(controlClient(place), one, wait),
    async replica(workload) {
      const { workloads, gateways } = await status();
      const found = [...workloads, ...gateways].find(({ name }) => name === workload);
      if (found === undefined) throw new Error(`no workload ${workload}`);
      return found;
    },
    async signIn(user) {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const answer = await page({
        method: 'POST',
        path: '/login',
        headers,
        body: `username=${user}&passwd=x`,
      });
      return { cookie: answer.headers['set-cookie']?.[0]?.split(';')[0] ?? '' };
    },
    stop() {
      agent.destroy();
      return stopBookinfo(place);
    },
  };
}

function controlClient({ scratch, dir }: Place): ControlClient {
  const folder = new UserFolder(join(scratch, 'lateen'), process.getuid?.() ?? 0);
  const entry = folder.meshes().find((one) => one.dir === dir);
  if (entry === undefined) throw new Error(`no mesh of ${dir} is known`);
  return new ControlClient(entry);
}

/** Fails when the mesh does not take the change whole. */
async function sendChange(
  client: ControlClient,
  { name, yaml, remove }: Change,
  wait: boolean,
): Promise<void> {
  const common = { namespace: '', wait, timeoutMs: REQUEST_LIMIT_MS };
  const answer =
    remove === undefined
      ? await client.post<ApplyAnswer>(CONTROL_PATHS.apply, {
          ...common,
          files: [{ name, text: yaml ?? '' }],
          dryRun: false,
        } satisfies ApplyRequest)
      : await client.post<ApplyAnswer>(CONTROL_PATHS.remove, {
          ...common,
          refs: [remove],
          files: [],
          ignoreNotFound: false,
        } satisfies DeleteRequest);
  const { accepted, diagnostics, pending, heldBack } = answer;
  if (accepted && pending.length + heldBack.length === 0) return;
  throw new Error(`${name}: ${JSON.stringify({ accepted, diagnostics, pending, heldBack })}`);
}

/** Ends the program as Ctrl-C does and looks for what is left. */
async function stopBookinfo({ program, dir, scratch, output }: Place): Promise<readonly string[]> {
  const family = familyOf(program.pid ?? 0);
  if (program.exitCode === null && program.signalCode === null) {
    program.kill('SIGINT');
    const timer = setTimeout(() => program.kill('SIGKILL'), STOP_LIMIT_MS);
    await once(program, 'exit');
    clearTimeout(timer);
  }
  const left = [...leftOvers(dir, scratch, family)];
  if (program.exitCode !== 0)
    left.push(`lateen up ended with ${program.exitCode ?? program.signalCode}:\n${output.join('')}`);
  rmSync(scratch, { recursive: true });
  return left;
}

async function whenRunning(program: ChildProcess, output: string[]): Promise<void> {
  const running = Promise.withResolvers<void>();
  const fail = (why: string): void => running.reject(new Error(`${why}:\n${output.join('')}`));
  for (const stream of [program.stdout, program.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output.push(chunk.toString());
      if (output.join('').includes('Running.')) running.resolve();
    });
  }
  program.once('exit', (code) => fail(`lateen up ended with ${code}`));
  const timer = setTimeout(() => fail(`not running after ${START_LIMIT_MS} ms`), START_LIMIT_MS);
  await running.promise.finally(() => clearTimeout(timer));
}

/** Runs a program to its end. */
export async function runCommand(
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  input = '',
): Promise<CommandResult> {
  const child = spawn(program, args, { env: environment, stdio: 'pipe' });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const ended = once(child, 'close');
  const [stdout, stderr] = await Promise.all([readText(child.stdout), readText(child.stderr)]);
  const [code] = await ended;
  return { code: code ?? -1, stdout, stderr };
}

function fetchPage(port: number, agent: Agent, what: PageRequest): Promise<Page> {
  const { method = 'GET', path = '/productpage', headers = {}, body } = what;
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const call = request({
      host: '127.0.0.1',
      port,
      agent,
      method,
      path,
      headers,
      timeout: REQUEST_LIMIT_MS,
    });
    call.on('error', reject);
    call.on('timeout', () => call.destroy(new Error(`no answer to ${path} in ${REQUEST_LIMIT_MS} ms`)));
    call.on('response', (answer) => {
      readText(answer).then(
        (text) =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: text,
            tookMs: performance.now() - started,
          }),
        reject,
      );
    });
    call.end(body);
  });
}
