/**
 * Sockets over which somebody else hands out secrets beside the agent: SPIRE's agent with the workload's certificate, or a server of
 * credentials for gateways. Looked for once, before Envoy starts, since the bootstrap says which to use. A socket counts only when
 * somebody answers on it: files of servers that are gone stay behind.
 * Source: Istio pkg/istio-agent/agent.go Run, checkSocket.
 */
import { statSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';

/** Where to look, and where our own go. */
export interface SecretSockets {
  /** The workload's certificate: another agent's where one answers, else ours. */
  readonly workload: string;
  /** It must be another agent's. */
  readonly isExpected: boolean;
  /** Credentials named `sds://…`. */
  readonly credentials: string;
  /** Ours for certificates in files, where another agent has the workload's. */
  readonly files: string;
}

/** What is there. */
export interface FoundSockets {
  /** Another agent has the workload's certificate. */
  readonly workload: boolean;
  readonly credentials: boolean;
}

/** Nothing but our own agent. */
export const NO_SOCKETS: FoundSockets = { workload: false, credentials: false };

const ANSWER_MS = 1_000;

/** Looks. Errors: a socket that was named and on which nobody answers. */
export async function findSecretSockets(
  { workload, isExpected, credentials }: SecretSockets,
  clock: Clock,
): Promise<Result<FoundSockets, string>> {
  const found = { workload: await answers(workload, clock), credentials: await answers(credentials, clock) };
  if (isExpected && !found.workload)
    return fail(`WORKLOAD_IDENTITY_SOCKET_FILE: nobody answers on ${workload}`);
  return ok(found);
}

/** True when a gRPC server is behind the path: it greets with HTTP/2 settings. */
async function answers(path: string, clock: Clock): Promise<boolean> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  return new Promise((resolve) => {
    const session = connectHttp2('http://localhost', { createConnection: () => connect(path) });
    const timer = clock.schedule(ANSWER_MS, () => end(false));
    session.on('error', () => end(false));
    session.on('close', () => end(false));
    session.on('remoteSettings', () => end(true));

    function end(isThere: boolean): void {
      timer[Symbol.dispose]();
      resolve(isThere);
      if (!session.destroyed) session.destroy();
    }
  });
}
