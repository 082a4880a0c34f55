/**
 * Which secrets the gateways of one view ask for, and which of those names they are granted without being allowed to read keys:
 * names of scheme `kubernetes-gateway`, in the namespace that Gateway, proxy and Secret share.
 * Source: istio pilot/pkg/model/gateway.go mergeGateways (VerifiedCertificateReferences).
 */
import type { GatewayServer } from '#model/gateway.ts';
import type { GatewayScope } from '#scope/gateway-scope.ts';
import { gatewaySecrets } from '#xds/tls/gateway-tls.ts';
import { parseCredentialName } from './credential-name.ts';
import type { SecretPlaces } from './sds-secret.ts';
import type { GatewaySecretUses, SecretUse } from './proxy-secrets.ts';

/** Tells whether Gateways of a namespace may use the Secret of another one (ReferenceGrant). */
export type IsGranted = (gatewayNamespace: string, secret: { namespace: string; name: string }) => boolean;

/** The uses of a view's merged Gateway. */
export function gatewaySecretUses(
  { view, merged }: GatewayScope,
  isGranted: IsGranted,
  places: SecretPlaces,
): GatewaySecretUses {
  const servers = merged.ports.flatMap((port) => port.servers);
  const uses = servers.flatMap((server) => usesOfServer(server, places));
  const granted = uses.filter(({ name, cause }) => {
    // A Gateway of another namespace may select these proxies, but not hand them secrets.
    if (cause.namespace !== view.namespace) return false;
    const secret = parseCredentialName(name, view.namespace);
    if (secret?.scheme !== 'kubernetes-gateway') return false;
    return secret.namespace === view.namespace || isGranted(view.namespace, secret);
  });
  return { uses, granted: [...new Set(granted.map(({ name }) => name))] };
}

function usesOfServer({ tls, cause }: GatewayServer, places: SecretPlaces): readonly SecretUse[] {
  if (tls === undefined) return [];
  return gatewaySecrets(tls, places).map((name) => ({
    name,
    cause: { ...cause, path: `${cause.path}.tls` },
  }));
}
