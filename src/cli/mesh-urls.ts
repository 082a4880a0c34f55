/** Addresses of a running mesh for people: gateways, and where each proxy can be looked into. */
import type { MeshStatus, ReplicaStatus } from '#doors/control-protocol.ts';

const ADMIN_PORT = 15000;

/** One line per gateway. */
export function gatewayUrls({ gateways }: MeshStatus): readonly string[] {
  return gateways.map(({ name, appAddress }) => `Gateway ${name} listens on ${appAddress}`);
}

/** Where Envoy's admin page of a replica is. */
export function adminUrl({ address }: ReplicaStatus): string {
  return `http://${address}:${ADMIN_PORT}`;
}
