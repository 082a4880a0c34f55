/**
 * Reads the trust bundle that a control plane pushes: the certificates of an otherwise empty ProxyConfig, and beside them our
 * revocation lists. What is taken is whole: one text that is no authority's certificate refuses the bundle.
 * Source: mesh/v1alpha1/proxy.proto ca_certificates_pem; Istio security/pkg/nodeagent/cache UpdateConfigTrustBundle.
 */
import { fail, ok, type Result } from '#base/result.ts';
import { WireReader } from '#base/proto-wire.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { joinTrustBundle } from '#identity/trust-bundle.ts';

/** A bundle that was checked. */
export interface PushedBundle {
  /** PEM of all roots, each once. */
  readonly rootsPem: string;
}

const CA_CERTIFICATES_PEM = 34;
const MAX_BYTES = 4 << 20;
const MAX_ROOTS = 100;

/** Reads a ProxyConfig. Errors: why the bundle is not taken; WireError for bytes that are no message. */
export function decodeTrustBundle(message: Uint8Array, nowUnixMs: number): Result<PushedBundle, string> {
  if (message.length > MAX_BYTES) return fail('the trust bundle is too large');
  const reader = new WireReader(message);
  const pems: string[] = [];
  while (reader.next()) {
    if (reader.field !== CA_CERTIFICATES_PEM) continue;
    if (pems.length === MAX_ROOTS) return fail(`the trust bundle has more than ${MAX_ROOTS} texts`);
    pems.push(reader.string());
  }
  return joinRoots(pems, nowUnixMs);
}

function joinRoots(pems: readonly string[], nowUnixMs: number): Result<PushedBundle, string> {
  for (const pem of pems) {
    const parsed = parseCertificates(pem, MAX_ROOTS);
    if (!parsed.ok) return fail(`the trust bundle: ${parsed.error}`);
    if (!parsed.value.every(({ isAuthority }) => isAuthority))
      return fail('the trust bundle: a certificate is not that of an authority');
  }
  const bundle = joinTrustBundle(pems, nowUnixMs);
  return bundle.ok ? ok({ rootsPem: bundle.value.pem }) : fail(`the trust bundle: ${bundle.error}`);
}
