/**
 * Reads the trust bundle that a control plane pushes: the certificates of an otherwise empty ProxyConfig, and beside them what
 * Istio's has not: our revocation lists, and how many certificates, the last ones, are good for peers only. What is taken is whole: one text that is no authority's certificate refuses the bundle.
 * Source: mesh/v1alpha1/proxy.proto ca_certificates_pem; Istio security/pkg/nodeagent/cache UpdateConfigTrustBundle.
 */
import { fail, ok, type Result } from '#base/result.ts';
import { WireReader } from '#base/proto-wire.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { isOver, parseRevocationLists, type RevocationList } from '#identity/revocation-list.ts';
import { joinTrustBundle } from '#identity/trust-bundle.ts';

/** A bundle that was checked. */
export interface PushedBundle {
  /** PEM of all roots, each once. */
  readonly rootsPem: string;
  /** Those of them that vouch for control planes of the mesh too; '' for none. */
  readonly authorityRootsPem: string;
  /** PEM of all revocation lists; '' for none. */
  readonly revocationsPem: string;
  /** Why lists that came are not among them; '' when they are. */
  readonly problem: string;
}

const CA_CERTIFICATES_PEM = 34;
/** As the control plane numbers what Istio's message does not have (xds/trust-bundle.ts). */
const REVOCATION_LISTS_PEM = 15_034;
const PEER_ROOTS = 15_035;
const MAX_BYTES = 4 << 20;
const MAX_TEXTS = 100;

/**
 * Reads a ProxyConfig. `held`: the bundle in use, undefined for none. Errors: why the bundle is not taken; WireError for bytes that
 * are no message.
 */
export function decodeTrustBundle(
  message: Uint8Array,
  held: PushedBundle | undefined,
  nowUnixMs: number,
): Result<PushedBundle, string> {
  if (message.length > MAX_BYTES) return fail('the trust bundle is too large');
  const reader = new WireReader(message);
  const roots: string[] = [];
  const lists: string[] = [];
  let forPeers = 0;
  while (reader.next()) {
    if (reader.field === CA_CERTIFICATES_PEM) roots.push(reader.string());
    else if (reader.field === REVOCATION_LISTS_PEM) lists.push(reader.string());
    else if (reader.field === PEER_ROOTS) forPeers = reader.varint();
    if (roots.length + lists.length > MAX_TEXTS)
      return fail(`the trust bundle has more than ${MAX_TEXTS} texts`);
  }
  const rootsPem = joinRoots(roots, nowUnixMs);
  if (!rootsPem.ok) return rootsPem;
  const authorities = joinTrustBundle(roots.slice(0, Math.max(0, roots.length - forPeers)), nowUnixMs);
  const authorityRootsPem = authorities.ok ? authorities.value.pem : '';
  const revocations = takeRevocations(lists.join('\n'), held?.revocationsPem ?? '', nowUnixMs);
  if (!revocations.ok) return revocations;
  return ok({ rootsPem: rootsPem.value, authorityRootsPem, ...revocations.value });
}

/** Lists to be used, and why they are not those that came. */
export type TakenRevocations = Pick<PushedBundle, 'revocationsPem' | 'problem'>;

/**
 * The lists of a text, '' for none. Whoever checks a list that is over refuses everybody: it does not take the place of a good one.
 * Errors: the text cannot be read.
 */
export function takeRevocations(
  pem: string,
  heldPem: string,
  nowUnixMs: number,
): Result<TakenRevocations, string> {
  if (pem.trim() === '') return ok({ revocationsPem: '', problem: '' });
  const lists = parseRevocationLists(pem);
  if (!lists.ok) return fail(`revocation lists: ${lists.error}`);
  const isNews = (list: RevocationList): boolean => !heldPem.includes(list.pem);
  const hasEnded = heldPem !== '' && lists.value.some((list) => isOver(list, nowUnixMs) && isNews(list));
  return hasEnded
    ? ok({ revocationsPem: heldPem, problem: 'a revocation list is over; those before it stay' })
    : ok({ revocationsPem: lists.value.map((list) => list.pem).join(''), problem: '' });
}

function joinRoots(pems: readonly string[], nowUnixMs: number): Result<string, string> {
  for (const pem of pems) {
    const parsed = parseCertificates(pem, MAX_TEXTS);
    if (!parsed.ok) return fail(`the trust bundle: ${parsed.error}`);
    if (!parsed.value.every(({ isAuthority }) => isAuthority))
      return fail('the trust bundle: a certificate is not that of an authority');
  }
  const bundle = joinTrustBundle(pems, nowUnixMs);
  return bundle.ok ? ok(bundle.value.pem) : fail(`the trust bundle: ${bundle.error}`);
}
