/**
 * Ports that gateways will listen on, looked at before anything starts: two Envoys of one user may share a port without either
 * of them noticing, so a port in use must be found here.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { portHolder } from './process-table.ts';
import { explainSystemError, hasCode } from './system-error.ts';

/** A listener that a gateway will open. */
export interface GatewayPort {
  readonly bind: string;
  readonly port: number;
  /** Name of the Gateway that asks for it. */
  readonly gateway: string;
}

interface GatewayServers {
  readonly selector?: Readonly<Record<string, string>>;
  readonly servers?: readonly { readonly port?: { readonly number?: number } }[];
}

/** The ports of all Gateways that select a gateway workload; each once. */
export function gatewayPorts(
  gateways: readonly MeshObject[],
  workloads: readonly MeshObject<LocalWorkloadSpec>[],
): readonly GatewayPort[] {
  const found = new Map<string, GatewayPort>();
  for (const { spec } of workloads.filter((workload) => workload.spec.type === 'gateway')) {
    for (const gateway of gateways) {
      const { selector = {}, servers = [] } = gateway.spec as GatewayServers;
      const isSelected = Object.entries(selector).every(([key, value]) => spec.labels[key] === value);
      for (const { port } of isSelected ? servers : []) {
        const number = port?.number ?? 0;
        const one = { bind: spec.bind, port: number, gateway: `${gateway.namespace}/${gateway.name}` };
        found.set(`${spec.bind}:${number}`, one);
      }
    }
  }
  return [...found.values()];
}

/** '' when the port is free, else who has it and what to do. */
export async function portProblem({ bind, port, gateway }: GatewayPort): Promise<string> {
  const server = createServer();
  try {
    server.listen({ host: bind, port, exclusive: true });
    await once(server, 'listening');
    return '';
  } catch (error) {
    const what = `port ${port} on ${bind}, which Gateway ${gateway} asks for,`;
    if (!hasCode(error, 'EADDRINUSE')) return `${what} cannot be used: ${explainSystemError(error)}`;
    const holder = portHolder(port);
    const who = holder === undefined ? '' : ` by ${holder.command} (pid ${holder.pid})`;
    return `${what} is in use${who}; stop that program, or choose another port`;
  } finally {
    server.close();
  }
}
