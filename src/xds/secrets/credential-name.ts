/**
 * The name of a secret over ADS taken apart: which object it means. Names come from users' objects, so anything may stand there.
 * Source: Istio pilot/pkg/model/credentials/resource.go ParseResourceName.
 */
import { CA_SUFFIX } from './sds-secret.ts';

export interface CredentialName {
  /** `kubernetes-gateway` and `configmap` name objects of any namespace, so they must say which. */
  readonly scheme: 'kubernetes' | 'kubernetes-gateway' | 'configmap';
  readonly kind: 'Secret' | 'ConfigMap';
  readonly namespace: string;
  /** Name of the object, still with the suffix for CA certificates. */
  readonly name: string;
  readonly isCaOnly: boolean;
}

const FORM = /^(kubernetes|kubernetes-gateway|configmap):\/\/(?:([^/]+)\/)?([^/]+)$/;

/** Undefined for names that mean no object: other schemes, and schemes that must name a namespace without one. */
export function parseCredentialName(text: string, ownNamespace: string): CredentialName | undefined {
  const [, scheme, namespace, name] = FORM.exec(text) ?? [];
  if (scheme === undefined || name === undefined) return undefined;
  if (namespace === undefined && scheme !== 'kubernetes') return undefined;
  return {
    scheme: scheme as CredentialName['scheme'],
    kind: scheme === 'configmap' ? 'ConfigMap' : 'Secret',
    namespace: namespace ?? ownNamespace,
    name,
    isCaOnly: name.endsWith(CA_SUFFIX),
  };
}
