/**
 * The set of roots that a workload believes. Joining is by fingerprint, keeps the order of first appearance and
 * leaves out what has ended, so that equal inputs give equal bytes and a bundle that did not change is not pushed.
 */
import { fail, ok, type Result } from '#base/result.ts';
import { type Certificate, type CertificateError, parseCertificates } from './certificate.ts';

/** Roots in order, each once. */
export interface TrustBundle {
  readonly roots: readonly Certificate[];
  /** All roots as one PEM text: what Envoy gets as `ROOTCA`. */
  readonly pem: string;
}

/** Why texts make no bundle. */
export type TrustBundleError = CertificateError | 'no valid root';

const maxRoots = 100;

/** Joins PEM texts to one bundle; ended roots are dropped. Errors: TrustBundleError, also when nothing is left. */
export function joinTrustBundle(
  pems: readonly string[],
  nowUnixMs: number,
): Result<TrustBundle, TrustBundleError> {
  const roots = new Map<string, Certificate>();
  for (const pem of pems) {
    const parsed = parseCertificates(pem, maxRoots);
    if (!parsed.ok) return parsed;
    for (const root of parsed.value) {
      if (root.notAfterUnixMs > nowUnixMs && roots.size < maxRoots) roots.set(root.fingerprint, root);
    }
  }
  if (roots.size === 0) return fail('no valid root');
  const ordered = [...roots.values()];
  return ok({ roots: ordered, pem: ordered.map((root) => root.pem).join('') });
}
