/** What the CA counts, under Istio's names; the metrics door prints it. */
import type { RevocationList } from '#identity/revocation-list.ts';
import type { SigningAuthority } from './signing-authority.ts';

/** Counter and its Istio name. */
const counters = [
  ['csrCount', 'citadel_server_csr_count'],
  ['issued', 'citadel_server_success_cert_issuance_count'],
  ['authenticationFailures', 'citadel_server_authentication_failure_count'],
  ['parseFailures', 'citadel_server_csr_parsing_err_count'],
  ['signFailures', 'citadel_server_csr_sign_err_count'],
  ['idFailures', 'citadel_server_id_extraction_err_count'],
] as const;

export type CaCounter = (typeof counters)[number][0];

/** Counters of one CA. Source: Istio security/pkg/server/ca/monitoring.go. */
export class CaMetrics {
  readonly #counts = new Map<CaCounter, number>();

  add(counter: CaCounter): void {
    this.#counts.set(counter, this.count(counter) + 1);
  }

  /** How often something happened. */
  count(counter: CaCounter): number {
    return this.#counts.get(counter) ?? 0;
  }

  /** All metrics by name: counters, then the expiry gauges (seconds left may be negative). */
  collect(authority: SigningAuthority, nowUnixMs: number): ReadonlyMap<string, number> {
    const metrics = new Map<string, number>();
    for (const [counter, name] of counters) metrics.set(name, this.count(counter));
    const rootMs = authority.rootNotAfterUnixMs;
    const chainMs = authority.certificate.notAfterUnixMs;
    metrics.set('citadel_server_root_cert_expiry_timestamp', rootMs / 1000);
    metrics.set('citadel_server_root_cert_expiry_seconds', (rootMs - nowUnixMs) / 1000);
    metrics.set('citadel_server_cert_chain_expiry_timestamp', chainMs / 1000);
    metrics.set('citadel_server_cert_chain_expiry_seconds', (chainMs - nowUnixMs) / 1000);
    return metrics;
  }
}

/**
 * What is known of revocation lists: how many are in force, when the first of them ends (seconds, 0 for never), and whether what
 * the operator brought last is not used.
 */
export function revocationMetrics(
  lists: readonly RevocationList[],
  problem: string,
): readonly (readonly [string, number])[] {
  const endMs = Math.min(...lists.map(({ nextUpdateUnixMs }) => nextUpdateUnixMs));
  return [
    ['lateen_ca_revocation_lists', lists.length],
    ['lateen_ca_revocation_list_expiry_timestamp', Number.isFinite(endMs) ? endMs / 1000 : 0],
    ['lateen_ca_material_refused', problem === '' ? 0 : 1],
  ];
}
