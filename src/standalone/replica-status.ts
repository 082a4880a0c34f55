/** What `lateen status` says of a replica: its processes, addresses, readiness, and how far its proxy is. */
import type { ReplicaStatus, SyncText } from '#doors/control-protocol.ts';
import type { ProxySync } from './control-plane.ts';
import type { Replica } from './replica.ts';

const NOTHING_SENT: SyncText = 'NOT SENT';

/** One replica's status; `proxies` are those connected now. */
export function replicaStatus(
  replica: Replica,
  proxies: readonly ProxySync[],
  trustDomain: string,
): ReplicaStatus {
  const { object, replica: number, addresses } = replica.plan;
  const { name, namespace, spec } = object;
  const proxy = proxies.find((one) => one.namespace === namespace && one.name === `${name}-${number}`);
  return {
    name,
    namespace,
    replica: number,
    pids: replica.pids,
    address: addresses.proxy,
    appAddress: replica.isGateway ? spec.bind : addresses.app,
    ports: spec.ports.map(({ name: portName, port, appPort, protocol }) => ({
      name: portName,
      port,
      appPort,
      protocol,
    })),
    ready: replica.ready,
    reason: replica.reason,
    restarts: replica.restarts,
    synced: {
      cds: proxy?.cds ?? NOTHING_SENT,
      eds: proxy?.eds ?? NOTHING_SENT,
      lds: proxy?.lds ?? NOTHING_SENT,
      rds: proxy?.rds ?? NOTHING_SENT,
    },
    identity: `spiffe://${trustDomain}/ns/${namespace}/sa/${spec.serviceAccount}`,
    isolation: 'none',
  };
}
