/**
 * SPIFFE ids: the names that certificates carry and policies match. Parsing follows the SPIFFE ID standard's
 * character rules, so an id that parses holds no character which a log line, a PEM or a pattern could trip over.
 * Everybody who turns text from outside into an identity comes through here. Pure; O(length), at most 2048 bytes.
 */
import { fail, ok, type Result } from '#base/result.ts';

/** Any SPIFFE id: the trust domain and the path without its leading slash ('' for the trust domain itself). */
export interface SpiffeId {
  readonly trustDomain: string;
  readonly path: string;
}

/** The identity of a workload in Istio's form, `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface WorkloadIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Why a text is no SPIFFE id; safe to show, it never quotes the text. */
export type SpiffeError =
  | 'too long'
  | 'scheme is not spiffe://'
  | 'bad trust domain'
  | 'bad path'
  | 'not of the form /ns/<namespace>/sa/<service account>';

/** The trust domain of a mesh that names none. Source: Istio MeshConfig.trustDomain. */
export const defaultTrustDomain = 'cluster.local';

const scheme = 'spiffe://';
const maxIdBytes = 2048;
const maxTrustDomainBytes = 255;
const trustDomainPattern = /^[a-z0-9._-]+$/;
const segmentPattern = /^[a-zA-Z0-9._-]+$/;

/** Says whether a text may stand as a trust domain: 1 to 255 of lower-case letters, digits, dot, dash, underscore. */
export function isTrustDomain(text: string): boolean {
  return text.length <= maxTrustDomainBytes && trustDomainPattern.test(text);
}

/** Parses any SPIFFE id. Errors: SpiffeError. Source: SPIFFE-ID standard, section 2. */
export function parseSpiffeId(text: string): Result<SpiffeId, SpiffeError> {
  if (text.length > maxIdBytes) return fail('too long');
  if (!text.startsWith(scheme)) return fail('scheme is not spiffe://');
  const rest = text.slice(scheme.length);
  const slash = rest.indexOf('/');
  const trustDomain = slash < 0 ? rest : rest.slice(0, slash);
  if (!isTrustDomain(trustDomain)) return fail('bad trust domain');
  if (slash < 0) return ok({ trustDomain, path: '' });
  const path = rest.slice(slash + 1);
  if (!path.split('/').every(isSegment)) return fail('bad path');
  return ok({ trustDomain, path });
}

/** Parses an id in Istio's workload form; any other path is refused. */
export function parseWorkloadIdentity(text: string): Result<WorkloadIdentity, SpiffeError> {
  const id = parseSpiffeId(text);
  if (!id.ok) return id;
  const [ns, namespace, sa, serviceAccount, ...more] = id.value.path.split('/');
  if (
    ns !== 'ns' ||
    sa !== 'sa' ||
    namespace === undefined ||
    serviceAccount === undefined ||
    more.length > 0
  ) {
    return fail('not of the form /ns/<namespace>/sa/<service account>');
  }
  return ok({ trustDomain: id.value.trustDomain, namespace, serviceAccount });
}

/** Prints a workload's id as it stands in certificates. */
export function printWorkloadIdentity(identity: WorkloadIdentity): string {
  return `${scheme}${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

/** Makes an identity from its parts, refusing parts that would not survive printing and parsing. */
export function makeWorkloadIdentity(
  trustDomain: string,
  namespace: string,
  serviceAccount: string,
): Result<WorkloadIdentity, SpiffeError> {
  if (!isTrustDomain(trustDomain)) return fail('bad trust domain');
  if (!isSegment(namespace) || !isSegment(serviceAccount)) return fail('bad path');
  return ok({ trustDomain, namespace, serviceAccount });
}

/** Says whether an id belongs to the mesh: its trust domain is the mesh's own or one of its aliases. */
export function isOfMesh(
  id: SpiffeId | WorkloadIdentity,
  trustDomain: string,
  aliases: readonly string[],
): boolean {
  return id.trustDomain === trustDomain || aliases.includes(id.trustDomain);
}

function isSegment(segment: string): boolean {
  return segmentPattern.test(segment) && segment !== '.' && segment !== '..';
}
