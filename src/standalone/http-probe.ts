/** Asks once whether something answers: an HTTP GET (2xx and 3xx count, as for Kubernetes' probes) or a TCP connection. */
import { once } from 'node:events';
import { get } from 'node:http';
import { connect } from 'node:net';

/** What to ask. */
export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
  /** Path for HTTP; absent for TCP. */
  readonly path?: string;
  readonly timeoutMs: number;
}

/** '' when it answers as it should, else why not. */
export async function probe(target: ProbeTarget): Promise<string> {
  try {
    return target.path === undefined ? await probeTcp(target) : await probeHttp(target, target.path);
  } catch (error) {
    const { name, message } = error as Error;
    return name === 'AbortError' || name === 'TimeoutError'
      ? `no answer from ${target.host}:${target.port} in ${target.timeoutMs} ms`
      : message;
  }
}

async function probeHttp(target: ProbeTarget, path: string): Promise<string> {
  const { host, port, timeoutMs } = target;
  const signal = AbortSignal.timeout(timeoutMs);
  const call = get({ host, port, path, agent: false, signal, headers: { 'user-agent': 'lateen-probe' } });
  const [answer] = (await once(call, 'response', { signal })) as [import('node:http').IncomingMessage];
  call.on('error', () => {});
  answer.on('error', () => {});
  answer.destroy();
  const status = answer.statusCode ?? 0;
  return status >= 200 && status < 400 ? '' : `GET ${path} on ${host}:${port} answers ${status}`;
}

async function probeTcp(target: ProbeTarget): Promise<string> {
  const socket = connect({ host: target.host, port: target.port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(target.timeoutMs) });
    return '';
  } finally {
    socket.on('error', () => {});
    socket.destroy();
  }
}
