/** tcp-echo: lines come back with the prefix, however they arrive. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { mock, test, type TestContext } from 'node:test';
import { type RunningTcpEcho, startTcpEcho } from './tcp-echo.ts';

mock.method(console, 'log', () => {});

async function start(t: TestContext): Promise<RunningTcpEcho> {
  const echo = await startTcpEcho({ host: '127.0.0.1', ports: [0, 0], prefix: 'one' });
  t.after(() => echo.stop());
  return echo;
}

test('each line is answered with the prefix, on every port, the last ones after the client closed its side', async (t) => {
  const { ports } = await start(t);
  const cases = [
    { chunks: ['hello\n'], answer: 'one hello\n' },
    { chunks: ['a\nb\n'], answer: 'one a\none b\n' },
    { chunks: ['\n'], answer: 'one \n' },
    { chunks: ['he', 'llo', '\nrest without end'], answer: 'one hello\n' },
    { chunks: [Buffer.from([0xff, 0x00, 0x0a])], answer: Buffer.from('one \xff\x00\n', 'latin1') },
    { chunks: [`${'x'.repeat(60_000)}\n`.repeat(20)], answer: `one ${'x'.repeat(60_000)}\n`.repeat(20) },
  ];
  for (const port of ports) {
    for (const { chunks, answer } of cases) {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      for (const chunk of chunks) socket.write(chunk);
      socket.end();
      const received: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      await once(socket, 'close');
      assert.deepEqual(Buffer.concat(received).toString('latin1'), Buffer.from(answer).toString('latin1'));
    }
  }
});

test('a line that is too long ends its connection, and no other', async (t) => {
  const { ports } = await start(t);
  const [long, other] = [0, 0].map(() => connect({ port: ports[0] ?? 0, host: '127.0.0.1' }));
  assert.ok(long && other);
  const closed = new Promise((resolve) => long.on('error', () => {}).on('close', resolve));
  long.resume().write('x'.repeat(70_000));
  await closed;
  other.end('hello\n');
  const [answer] = await once(other, 'data');
  assert.equal(String(answer), 'one hello\n');
});

test('stop ends open connections', async () => {
  const echo = await startTcpEcho({ host: '127.0.0.1', ports: [0], prefix: 'two' });
  const socket = connect({ port: echo.ports[0] ?? 0, host: '127.0.0.1' });
  socket.write('hello\n');
  const [answer] = await once(socket, 'data');
  assert.equal(String(answer), 'two hello\n');
  const ended = once(socket, 'end');
  await echo.stop();
  await ended;
});
