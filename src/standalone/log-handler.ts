/** Streams the logs of one or more replicas; with several, each line begins with its replica's name. */
import type { Clock } from '#base/clock.ts';
import { type ControlCall, ControlRefusal } from './control-door.ts';
import { followLog, readTail } from './log-stream.ts';
import type { Replica } from './replica.ts';

type Send = (text: string | Uint8Array) => void;

/** Query: container (app, istio-proxy), tail (lines), follow. */
export async function streamLogs(
  replicas: readonly Replica[],
  call: ControlCall,
  clock: Clock,
): Promise<undefined> {
  const { query, send, signal } = call;
  const container = query.get('container');
  if (container !== null && container !== 'app' && container !== 'istio-proxy') {
    throw new ControlRefusal(400, `no container ${container}; there are app and istio-proxy`);
  }
  const lines = Number(query.get('tail') ?? -1);
  const follow = query.get('follow') === 'true';
  await Promise.all(
    replicas.map(async (replica) => {
      const chosen = container ?? (replica.isGateway ? 'istio-proxy' : 'app');
      const log = replica.logOf(chosen);
      if (log === undefined) throw new ControlRefusal(400, `${replica.subject} has no container ${chosen}`);
      const write = replicas.length > 1 ? prefixed(replica.subject, send) : send;
      const { text, end } = await readTail(log.path, Number.isInteger(lines) ? lines : -1);
      write(text);
      if (follow) await followLog(log.path, end, clock, signal, write);
    }),
  );
  return undefined;
}

/** Puts a name before each line; a line that is not whole yet waits for its rest. */
function prefixed(name: string, send: Send): Send {
  let rest = '';
  return (text) => {
    const lines = (rest + text.toString()).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) send(`${lines.map((line) => `[${name}] ${line}`).join('\n')}\n`);
  };
}
