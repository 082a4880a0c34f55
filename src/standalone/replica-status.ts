/** What `lateen status` says of a replica: its processes, addresses, readiness, and how far its proxy is. */
import type { ReplicaStatus, SyncText } from '#doors/control-protocol.ts';
import type { WorkloadCertificateEnd } from './certificate-alerts.ts';
import type { ProxySync } from './control-plane.ts';
import type { Replica } from './replica.ts';

const NOTHING_SENT: SyncText = 'NOT SENT';

/** What is known around a replica. */
export interface ReplicaSight {
  /** Those connected now. */
  readonly proxies: readonly ProxySync[];
  readonly trustDomain: string;
  /** By subject. */
  readonly certificates: ReadonlyMap<string, WorkloadCertificateEnd>;
}

/** One replica's status. */
export function replicaStatus(
  replica: Replica,
  { proxies, trustDomain, certificates }: ReplicaSight,
): ReplicaStatus {
  const { object, replica: number, addresses } = replica.plan;
  const { name, namespace, spec } = object;
  const end = certificates.get(replica.subject)?.notAfterUnixMs;
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
    certificateNotAfter: end === undefined ? '' : new Date(end).toISOString(),
    isolation: 'none',
  };
}
