/**
 * Says whether the workload may get traffic: Envoy is live, its workers run, and it has taken clusters and listeners from the control
 * plane at least once in its present life. Asks Envoy each time; one small request.
 * Source: Istio pilot/cmd/pilot-agent/status/ready/probe.go.
 */
import type { SocketAddress } from './bootstrap-settings.ts';
import { callHttp } from './http-call.ts';

/** The answer, with what is missing. */
export interface Readiness {
  readonly isReady: boolean;
  readonly reason: string;
}

const filter =
  '^(cluster_manager\\.cds\\.update_(success|rejected)|listener_manager\\.(lds\\.update_(success|rejected)|workers_started)|server\\.state)$';
const timeoutMs = 2000;
/** envoy.admin.v3.ServerInfo.State. */
const states = ['LIVE', 'DRAINING', 'PRE_INITIALIZING', 'INITIALIZING'];

/** Asks an Envoy's admin. Errors: none; an Envoy that does not answer is not ready. */
export async function checkReadiness(admin: SocketAddress): Promise<Readiness> {
  try {
    const path = `/stats?usedonly&filter=${encodeURIComponent(filter)}`;
    const answer = await callHttp({ host: admin.address, port: admin.port, path, timeoutMs });
    return judge(parseStats(answer.body));
  } catch (error) {
    return {
      isReady: false,
      reason: `Envoy does not answer: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

function judge(stats: ReadonlyMap<string, number>): Readiness {
  const clusters = stats.get('cluster_manager.cds.update_success') ?? 0;
  const clustersRejected = stats.get('cluster_manager.cds.update_rejected') ?? 0;
  const listeners = stats.get('listener_manager.lds.update_success') ?? 0;
  const listenersRejected = stats.get('listener_manager.lds.update_rejected') ?? 0;
  if (clusters === 0 || listeners === 0) {
    return {
      isReady: false,
      reason:
        'config not received from XDS server (is Istiod running?): ' +
        `cds updates: ${clusters} successful, ${clustersRejected} rejected; ` +
        `lds updates: ${listeners} successful, ${listenersRejected} rejected`,
    };
  }
  const state = stats.get('server.state');
  if (state !== undefined && state !== 0) {
    return { isReady: false, reason: `server is not live, current state is: ${states[state] ?? state}` };
  }
  if (stats.get('listener_manager.workers_started') !== 1) {
    return { isReady: false, reason: 'workers have not yet started' };
  }
  return { isReady: true, reason: '' };
}

function parseStats(text: string): ReadonlyMap<string, number> {
  const stats = new Map<string, number>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) stats.set(line.slice(0, colon), Number(line.slice(colon + 2)));
  }
  return stats;
}
