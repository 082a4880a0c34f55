/** For tests: runs commands against a mesh that answers from a table, and keeps what they print. */
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { systemClock } from '#base/clock.ts';
import { fail, ok } from '#base/result.ts';
import type { CliContext } from './cli-context.ts';
import { runCli } from './program.ts';

/** What the mesh answers by `METHOD /path`: JSON, or a function of the body and the query. */
export type Answers = Readonly<Record<string, unknown>>;

/** What a command did. */
export interface CliRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliRig extends AsyncDisposable {
  readonly folder: string;
  /** Bodies that the mesh got. */
  readonly bodies: readonly unknown[];
  run(argv: readonly string[], more?: Partial<CliContext>): Promise<CliRun>;
}

class Collector extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** Starts the mesh of answers; undefined: there is no mesh. */
export async function openCliRig(answers: Answers | undefined): Promise<CliRig> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-cli-'));
  const socket = join(folder, 'mesh.sock');
  const bodies: unknown[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const url = new URL(request.url ?? '/', 'http://mesh');
      if (body !== '') bodies.push(JSON.parse(body));
      const answer = answers?.[`${request.method} ${url.pathname}`];
      const value = typeof answer === 'function' ? answer(url.searchParams) : answer;
      response.writeHead(value === undefined ? 404 : 200);
      response.end(
        typeof value === 'string' ? value : JSON.stringify(value ?? { error: `no ${url.pathname}` }),
      );
    });
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    folder,
    bodies,
    async run(argv, more = {}) {
      const [stdout, stderr] = [new Collector(), new Collector()];
      const context: CliContext = {
        stdin: Readable.from([]),
        stdout,
        stderr,
        environment: {},
        cwd: folder,
        clock: systemClock(),
        version: '1.2.3',
        samplesFolder: '',
        tempFolder: folder,
        findMesh: () =>
          answers === undefined ? fail('no mesh is running') : ok({ dir: '/mesh', pid: 1, socket }),
        startMesh: () => Promise.reject(new Error('no mesh in tests')),
        runCommand: async () => 0,
        onStopSignal: () => ({ [Symbol.dispose]: () => {} }),
        ...more,
      };
      const exitCode = await runCli(argv, context);
      return { exitCode, stdout: stdout.text, stderr: stderr.text };
    },
    async [Symbol.asyncDispose](): Promise<void> {
      server.close();
      server.closeAllConnections();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
