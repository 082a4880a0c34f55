import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import { EnvoyProcess, type EnvoySettings } from './envoy-process.ts';

let folder = '';
let admin: Server;
const calls: string[] = [];
let answer = 'OK';

/** A script in Envoy's place; `$COUNT` is a file that gets one line per start. */
function makeProcess(name: string, script: string, change: Partial<EnvoySettings> = {}) {
  const binaryPath = join(folder, name);
  const countPath = join(folder, `${name}.count`);
  writeFileSync(binaryPath, `#!/bin/sh\necho started >>"$COUNT"\n${script}\n`);
  chmodSync(binaryPath, 0o755);
  const clock = new TestClock();
  const settings: EnvoySettings = {
    launcher: [],
    binaryPath,
    configPath: 'x',
    admin: { address: '127.83.2.1', port: (admin.address() as AddressInfo).port },
    addressFamily: 'v4',
    kind: 'sidecar',
    drainDurationMs: 1000,
    terminationDrainDurationMs: 0,
    idleWait: undefined,
    overridePath: undefined,
    hostIp: '',
    hasCoreDumps: false,
    skipsDeprecatedLogs: true,
    concurrency: 1,
    fileFlushIntervalMs: 1000,
    fileFlushMinSizeKib: 0,
    logLevel: 'warning',
    componentLogLevel: '',
    ...change,
  };
  const envoy = new EnvoyProcess(settings, { clock, rng: seededRng(1), log: silentLogger() });
  const starts = (): number =>
    existsSync(countPath) ? readFileSync(countPath, 'utf8').split('\n').length - 1 : 0;
  const start = (): void => envoy.start({ COUNT: countPath, PATH: process.env['PATH'] ?? '' });
  return { envoy, clock, starts, start };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!condition()) {
    assert.ok(performance.now() < endMs, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe('running Envoy', () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'envoy-process-'));
    admin = createServer((request, response) => {
      calls.push(`${request.method} ${request.url}`);
      response.end(answer);
    }).listen(0, '127.83.2.1');
    await once(admin, 'listening');
  });

  after(() => {
    admin.close();
    rmSync(folder, { recursive: true });
  });

  describe('the Envoy process', () => {
    it('is started again after a kill, soon', async () => {
      const { envoy, clock, starts, start } = makeProcess('killed', 'exec sleep 60');
      start();
      await until('the first start', () => starts() === 1);
      const first = envoy.pid ?? 0;
      process.kill(first, 'SIGKILL');
      await until('the end', () => envoy.pid === undefined);
      clock.advance(100);
      await until('the second start', () => starts() === 2);
      assert.notEqual(envoy.pid, first);
      await envoy.stop();
      assert.equal(envoy.pid, undefined);
      clock.advance(60_000);
      assert.equal(starts(), 2);
    });

    it('is given up when it never comes up', async () => {
      const { envoy, clock, starts, start } = makeProcess('broken', 'exit 7');
      start();
      let reason: string | undefined;
      void envoy.givenUp.then((text) => {
        reason = text;
      });
      await until('giving up', () => {
        if (envoy.pid === undefined) clock.advance(1000);
        return reason !== undefined;
      });
      assert.match(reason ?? '', /exited with code 7, 8 times/);
      assert.equal(starts(), 8);
    });

    it('is given up at once when there is no such program', async () => {
      const { envoy, start } = makeProcess('missing', '', { binaryPath: join(folder, 'nowhere') });
      start();
      assert.match(await envoy.givenUp, /cannot run .*nowhere: .*ENOENT/);
      await envoy.stop();
    });

    for (const [kind, expected] of [
      ['sidecar', 'POST /drain_listeners?inboundonly&graceful&skip_exit'],
      ['router', 'POST /drain_listeners?graceful&skip_exit'],
    ] as const) {
      it(`of a ${kind} drains before it ends`, async () => {
        const { envoy, clock, starts, start } = makeProcess(`drained-${kind}`, 'exec sleep 60', {
          kind,
          terminationDrainDurationMs: 3000,
        });
        start();
        await until('the start', () => starts() === 1);
        calls.length = 0;
        const stopped = envoy.stop();
        await until('the wait', () => clock.waitingCount === 1);
        assert.deepEqual(calls, [expected]);
        assert.notEqual(envoy.pid, undefined);
        clock.advance(3000);
        await stopped;
        assert.equal(envoy.pid, undefined);
        assert.equal(clock.waitingCount, 0);
      });
    }

    it('waits for the last client where it is told to, but so long at least', async () => {
      const { envoy, clock, starts, start } = makeProcess('idle', 'exec sleep 60', {
        terminationDrainDurationMs: 3000,
        idleWait: { minimumMs: 5000, ownListeners: ['0.0.0.0_15021'] },
      });
      start();
      await until('the start', () => starts() === 1);
      calls.length = 0;
      answer =
        'listener.0.0.0.0_15021.downstream_cx_active: 1\nlistener.0.0.0.0_15006.downstream_cx_active: 1\n';
      const stopped = envoy.stop();
      await until('the wait', () => clock.waitingCount === 1);
      clock.advance(5000);
      await until('the question', () => calls.length === 2 && clock.waitingCount === 1);
      assert.notEqual(envoy.pid, undefined);
      answer = 'listener.0.0.0.0_15021.downstream_cx_active: 1\n';
      clock.advance(1000);
      await stopped;
      assert.deepEqual(calls.slice(1), Array(2).fill('GET /stats?usedonly&filter=downstream_cx_active$'));
    });

    it('does not wait when it was drained before', async () => {
      const { envoy, starts, start } = makeProcess('drained-before', 'exec sleep 60', {
        terminationDrainDurationMs: 3000,
      });
      start();
      await until('the start', () => starts() === 1);
      await envoy.drain();
      await envoy.stop();
      assert.equal(envoy.pid, undefined);
    });

    it('lays a file of the user over its bootstrap, whoever the node is', async () => {
      const overridePath = join(folder, 'override.yaml');
      writeFileSync(overridePath, 'tracing: {host: "$(HOST_IP)"}\n');
      const { envoy, starts, start } = makeProcess('overridden', 'echo "$*" >"$COUNT.args"; exec sleep 60', {
        overridePath,
        hostIp: 'fd00::1',
      });
      start();
      const argsPath = join(folder, 'overridden.count.args');
      await until('the start', () => starts() === 1 && existsSync(argsPath));
      assert.match(readFileSync(argsPath, 'utf8'), /--config-yaml tracing: \{host: "\[fd00::1\]"\}/);
      await envoy.stop();
    });

    it('is killed when it does not end by itself', async () => {
      const { envoy, clock, starts, start } = makeProcess(
        'stubborn',
        'trap \'\' TERM\necho trapped >>"$COUNT"\nwhile :; do sleep 0.05; done',
      );
      start();
      await until('the trap', () => starts() === 2);
      const stopped = envoy.stop();
      await until('the wait', () => clock.waitingCount === 1);
      clock.advance(5000);
      await stopped;
      assert.equal(envoy.pid, undefined);
    });
  });
});
