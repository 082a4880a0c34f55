/** Finds the proxy that a question about a token is for, with what it was sent, and asks explain/ to judge. */
import type { Clock } from '#base/clock.ts';
import { type TokenRequest, type TokenVerdict, tokenVerdict } from '#explain/token-verdict.ts';
import type { ProxyName } from '#standalone/control-plane.ts';
import type { Mesh } from './mesh.ts';

/** The verdict; undefined when no such proxy is connected. */
export async function judgeToken(
  { proxies, graph }: Mesh,
  clock: Clock,
  { namespace, name }: ProxyName,
  request: TokenRequest,
): Promise<TokenVerdict | undefined> {
  const proxy = [...proxies.all().values()].find((one) => one.namespace === namespace && one.name === name);
  const snapshot = proxy === undefined ? undefined : graph.snapshots.get(proxy.id);
  if (proxy === undefined || snapshot === undefined) return undefined;
  const { addresses, identity = '' } = proxy;
  const simulated = { name: `${name}.${namespace}`, snapshot, spiffeId: identity, addresses };
  return tokenVerdict(
    { security: graph.security, proxy: simulated, subject: proxy, nowUnixMs: clock.nowMs() },
    request,
  );
}
