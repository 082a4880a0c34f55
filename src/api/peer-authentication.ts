/**
 * PeerAuthentication: whether workloads accept mutual TLS, plain text, or both.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  PeerAuthenticationJson,
  PeerAuthentication_MutualTLS_ModeJson,
} from '#proto/istio/security/v1beta1/peer_authentication_pb.ts';
import { fieldPath } from './field-path.ts';
import { checkPort, checkSelectorLabels } from './field-rules.ts';
import { Findings } from './findings.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of a PeerAuthentication. */
export type PeerAuthenticationSpec = PeerAuthenticationJson;
/** UNSET (inherit), DISABLE, PERMISSIVE or STRICT. */
export type MutualTlsMode = PeerAuthentication_MutualTLS_ModeJson;

/** Findings about a PeerAuthentication beyond its schema. Source: istio pkg/config/validation ValidatePeerAuthentication. */
export function validatePeerAuthentication(object: MeshObject<PeerAuthenticationSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { selector, portLevelMtls } = object.spec;
  const ports = Object.keys(portLevelMtls ?? {});
  const selectsAll = Object.keys(selector?.matchLabels ?? {}).length === 0;
  if (selectsAll && ports.length > 0) {
    const when = 'without a selector: ports belong to certain workloads';
    findings.add('LTN2037', 'spec.portLevelMtls', { field: 'portLevelMtls', when });
  }
  if (portLevelMtls !== undefined && ports.length === 0) {
    findings.add('LTN2035', 'spec.portLevelMtls', { field: 'portLevelMtls' });
  }
  for (const port of ports) checkPort(Number(port), fieldPath('spec.portLevelMtls', port), findings);
  if (selector !== undefined) checkSelectorLabels(selector.matchLabels, 'spec.selector', findings);
  return findings.all;
}
