/** What the control door answers to `jwt check`: the workloads that are meant, and the control plane's verdict. Tokens are never kept. */
import type { MeshObject } from '#api/mesh-object.ts';
import type { JwtCheckAnswer, JwtCheckRequest } from '#doors/control-protocol.ts';
import { ControlRefusal } from './control-door.ts';
import type { ControlPlane } from './control-plane.ts';
import { gatewayPorts } from './gateway-ports.ts';
import type { Replica } from './replica.ts';
import { findReplicas } from './replica-search.ts';

export interface TokenHandlerParts {
  readonly replicas: () => readonly Replica[];
  readonly gateways: () => readonly MeshObject[];
  readonly judgeToken: ControlPlane['judgeToken'];
  readonly trustDomain: string;
}

/** Reads a request out of a body. */
export function readJwtCheck(fields: Readonly<Record<string, unknown>>): JwtCheckRequest {
  const text = (name: keyof JwtCheckRequest): string => {
    const value = fields[name];
    return typeof value === 'string' ? value : '';
  };
  const port = Number(fields['port'] ?? 0);
  return {
    token: text('token'),
    workload: text('workload'),
    namespace: text('namespace'),
    from: text('from'),
    method: text('method') || 'GET',
    path: text('path') || '/',
    host: text('host'),
    port: Number.isInteger(port) && port > 0 && port < 65_536 ? port : 0,
  };
}

/** The verdict. Errors: throws a ControlRefusal when a workload is not there, or not connected. */
export async function checkJwt(parts: TokenHandlerParts, asked: JwtCheckRequest): Promise<JwtCheckAnswer> {
  const replica = replicaOf(parts, asked.workload, asked.namespace);
  const { object, replica: number, addresses } = replica.plan;
  const { name, namespace, spec } = object;
  const [gatewayPort] = replica.isGateway ? gatewayPorts(parts.gateways(), [object]) : [];
  const port = asked.port || (gatewayPort?.port ?? spec.ports[0]?.port ?? 0);
  if (port === 0) throw new ControlRefusal(400, `${name} has no port; name one with --port`);
  const verdict = await parts.judgeToken(
    { namespace, name: `${name}-${number}` },
    {
      token: asked.token,
      address: replica.isGateway ? spec.bind : addresses.proxy,
      port,
      method: asked.method,
      path: asked.path,
      host: asked.host || `${name}.${namespace}`,
      caller: callerOf(parts, asked),
    },
  );
  if (verdict === undefined) throw new ControlRefusal(409, `the proxy of ${name} is not connected`);
  return verdict;
}

function callerOf(parts: TokenHandlerParts, { from }: JwtCheckRequest): string {
  if (from === '' || from.startsWith('spiffe://')) return from;
  const { namespace, spec } = replicaOf(parts, from, '').plan.object;
  return `spiffe://${parts.trustDomain}/ns/${namespace}/sa/${spec.serviceAccount}`;
}

function replicaOf({ replicas }: TokenHandlerParts, name: string, namespace: string): Replica {
  const found = findReplicas(replicas(), name, namespace === '' ? undefined : namespace);
  const replica = found.replicas.find(({ ready }) => ready) ?? found.replicas[0];
  if (replica === undefined || found.problem !== '') throw new ControlRefusal(404, found.problem);
  return replica;
}
