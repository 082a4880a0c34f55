/** Puts the look-up of network gateways' names together: the mesh that wants them, and the machine's resolvers. */
import { Resolver } from 'node:dns/promises';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { GatewayNameController, type NameAnswer } from '#controllers/gateway-names.ts';
import type { Mesh } from './mesh.ts';

const TIMEOUT_MS = 2_000;
const TRIES = 2;
const MAX_TTL_SECONDS = 3_600;
/** The name does not exist, or has no address of that family: an answer like any other. */
const NO_SUCH = new Set(['ENOTFOUND', 'ENODATA']);

/** Follows the mesh until disposed of. */
export function openGatewayNames(mesh: Mesh, clock: Clock, log: Logger): GatewayNameController {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  return new GatewayNameController({
    engine: mesh.engine,
    wanted: mesh.graph.serviceModel.gatewayNames,
    resolved: mesh.resolvedNames,
    lookUp: (name) => lookUp(resolver, name),
    clock,
    log,
    changed: () => mesh.driver.poke(),
  });
}

/** Addresses of both families. One family that fails is left out; the shortest time to live counts. */
export async function lookUp(resolver: Resolver, name: string): Promise<Result<NameAnswer, string>> {
  const [v4, v6] = await Promise.all([
    recordsOf(() => resolver.resolve4(name, { ttl: true })),
    recordsOf(() => resolver.resolve6(name, { ttl: true })),
  ]);
  if (!v4.ok && !v6.ok) return v4;
  const records = [v4, v6].flatMap((family) => (family.ok ? family.value : []));
  const ttlSeconds = records.reduce((least, { ttl }) => Math.min(least, ttl), MAX_TTL_SECONDS);
  return ok({
    addresses: records.map(({ address }) => address),
    ttlMs: records.length === 0 ? 0 : ttlSeconds * 1_000,
  });
}

interface AddressRecord {
  readonly address: string;
  readonly ttl: number;
}

async function recordsOf(
  ask: () => Promise<readonly AddressRecord[]>,
): Promise<Result<readonly AddressRecord[], string>> {
  try {
    return ok(await ask());
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    return NO_SUCH.has(code) ? ok([]) : fail(message);
  }
}
