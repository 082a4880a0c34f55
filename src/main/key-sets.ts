/**
 * Puts the fetching of token issuers' key sets together: the mesh that wants them, the network, and the metrics of Istio's
 * names. Environment: BLOCKED_CIDRS_IN_JWKS_URIS as Istio has it, and LATEEN_ALLOWED_CIDRS_IN_JWKS_URIS for exceptions from what is
 * always refused.
 */
import { type AddressGuard, LOOPBACK_ALLOWED, NO_EXCEPTIONS } from '#base/address-guard.ts';
import { type Cidr, parseCidr } from '#base/cidr.ts';
import type { Clock } from '#base/clock.ts';
import { guardedGet } from '#base/guarded-request.ts';
import type { Logger } from '#base/logger.ts';
import { ok } from '#base/result.ts';
import { systemRng } from '#base/rng.ts';
import { type FetchText, KeySetController } from '#controllers/key-sets.ts';
import type { Mesh } from './mesh.ts';
import { type MeshMetrics, readTotal } from './mesh-metrics.ts';

export interface KeySetSettings {
  readonly mesh: Mesh;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MeshMetrics;
  /** A mesh on one machine has its issuers there too. */
  readonly loopback: boolean;
  /** Between fetches; default: Istio's. */
  readonly refreshMs?: number | undefined;
}

const REFRESH_MS = 20 * 60_000;
const MAX_BYTES = 1 << 20;

/** GET of what users and operators name as a source of keys: bounded, and never to an address that is refused. */
export function keyFetcher(loopback: boolean, log: Logger): FetchText {
  const guard = guardOf(process.env, loopback, log);
  return async (url, timeoutMs) => {
    const answer = await guardedGet({ url, timeoutMs, maxBytes: MAX_BYTES, guard });
    return answer.ok ? ok(answer.value.toString('utf8')) : answer;
  };
}

/** Follows the mesh until disposed of. */
export function openKeySets({
  mesh,
  clock,
  log,
  metrics,
  loopback,
  refreshMs = REFRESH_MS,
}: KeySetSettings): KeySetController {
  const controller = new KeySetController({
    engine: mesh.engine,
    wanted: mesh.graph.wantedKeySets,
    keySets: mesh.keySets,
    fetchText: keyFetcher(loopback, log),
    clock,
    rng: systemRng(),
    log,
    changed: () => mesh.driver.poke(),
    refreshMs,
  });
  const { registry } = metrics;
  readTotal(registry, 'pilot_jwks_resolver_network_fetch_success_total', () => controller.counters.succeeded);
  readTotal(registry, 'pilot_jwks_resolver_network_fetch_fail_total', () => controller.counters.failed);
  return controller;
}

function guardOf(env: NodeJS.ProcessEnv, loopback: boolean, log: Logger): AddressGuard {
  const { allowed } = loopback ? LOOPBACK_ALLOWED : NO_EXCEPTIONS;
  return {
    allowed: [...allowed, ...blocks(env['LATEEN_ALLOWED_CIDRS_IN_JWKS_URIS'], log)],
    blocked: blocks(env['BLOCKED_CIDRS_IN_JWKS_URIS'], log),
  };
}

function blocks(text: string | undefined, log: Logger): Cidr[] {
  const parts = (text ?? '').split(',').filter((part) => part.trim() !== '');
  return parts.flatMap((part) => {
    const block = parseCidr(part.trim());
    if (!block.ok) log.warn('a range of addresses is ignored', { reason: block.error });
    return block.ok ? [block.value] : [];
  });
}
