/** A little traffic of the demo's own: two requests a second, one at a time, until it is stopped. Failures are what the table shows. */
import { Agent, get } from 'node:http';
import type { Clock } from '#base/clock.ts';

const PERIOD_MS = 500;
const TIMEOUT_MS = 15_000;

/** Sends requests until disposed of. */
export function sendTraffic(url: string, clock: Clock): Disposable {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  let isStopped = false;
  let timer: Disposable | undefined;
  const next = (): void => {
    if (isStopped) return;
    timer = clock.schedule(PERIOD_MS, next);
    const call = get(url, { agent, timeout: TIMEOUT_MS }, (answer) => answer.resume().on('error', () => {}));
    call.on('timeout', () => call.destroy());
    call.on('error', () => {});
  };
  next();
  return {
    [Symbol.dispose](): void {
      isStopped = true;
      timer?.[Symbol.dispose]();
      agent.destroy();
    },
  };
}
