/**
 * Who may be which proxy. Over TLS a caller has proven a service account, and by a bound token its pod: a node that names another
 * one is refused. What the pod then says of the proxy is the model's business (model/described-proxy.ts).
 * Source: istio pilot/pkg/xds/auth.go; the look at the pod is ours.
 */
import type { Peer, ProxyAdmission } from '#ads/peer.ts';
import { GRPC_PERMISSION_DENIED, GRPC_UNAVAILABLE, type GrpcStatus, grpcStatus } from '#base/grpc-frame.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Collection } from '#collections/collection.ts';
import { parseWorkloadIdentity } from '#identity/spiffe.ts';
import type { Workload } from '#model/endpoint.ts';
import type { Proxy } from '#model/proxy.ts';

export interface ProxyAdmissionOptions {
  /** Keyed `namespace/name`. */
  readonly workloads: Collection<Workload>;
  /** False while the mesh is not whole yet. */
  readonly isReady: () => boolean;
}

/** Plain text and Unix sockets prove nothing, and are not asked to. */
export function createProxyAdmission({ workloads, isReady }: ProxyAdmissionOptions): ProxyAdmission {
  return {
    admit(peer, proxy): Result<Proxy, GrpcStatus> {
      if (!isReady()) return fail(grpcStatus(GRPC_UNAVAILABLE, 'the mesh is still being read'));
      if (peer.identity === undefined) return ok(proxy);
      const { identity } = peer;
      const proven = parseWorkloadIdentity(identity);
      const { namespace = '', serviceAccount = '' } = proven.ok ? proven.value : {};
      const problem = mismatch(peer, proxy, { namespace, serviceAccount });
      if (problem !== undefined) return refuse(`${identity} may not be ${problem}`);
      const workload = workloads.get(`${proxy.namespace}/${proxy.name}`);
      // A pod that is not seen yet says nothing: when it comes, it describes the proxy only if it agrees.
      if (workload?.source === 'Pod' && workload.serviceAccount !== serviceAccount) {
        return refuse(
          `${identity} may not be pod ${proxy.namespace}/${proxy.name} of another service account`,
        );
      }
      return ok({ ...proxy, serviceAccount, identity });
    },
  };
}

/** What of the node contradicts what was proven; undefined when nothing does. */
function mismatch(
  peer: Peer,
  proxy: Proxy,
  proven: { readonly namespace: string; readonly serviceAccount: string },
): string | undefined {
  if (proven.namespace !== proxy.namespace) return `a proxy of namespace ${proxy.namespace}`;
  if (proxy.serviceAccount !== '' && proxy.serviceAccount !== proven.serviceAccount)
    return `a proxy of service account ${proxy.serviceAccount}`;
  if (peer.podName !== undefined && peer.podName !== proxy.name)
    return `pod ${proxy.name}: its token is bound to ${peer.podName}`;
  return undefined;
}

function refuse(message: string): Result<never, GrpcStatus> {
  return fail(grpcStatus(GRPC_PERMISSION_DENIED, message));
}
