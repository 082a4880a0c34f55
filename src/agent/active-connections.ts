/**
 * How many clients are still connected to Envoy, out of its statistics: with EXIT_ON_ZERO_ACTIVE_CONNECTIONS the end of a proxy waits
 * for the last of them. The proxy's own doors and Envoy's inner listeners do not count. Pure.
 * Source: Istio pkg/envoy/agent.go activeProxyConnections.
 */

/** What to ask Envoy's admin for. */
export const ACTIVE_CONNECTIONS_PATH = '/stats?usedonly&filter=downstream_cx_active$';

/** The number; undefined when Envoy counts none at all. `ownListeners` are the proxy's own doors, as `ADDRESS_PORT`. */
export function countConnections(stats: string, ownListeners: readonly string[]): number | undefined {
  const own = new Set(ownListeners.map((place) => `listener.${place}.downstream_cx_active`));
  const lines = stats.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) return undefined;
  const counts = lines.flatMap((line) => {
    const [, name = '', value = ''] = /^(listener\.\S+): (\d+)$/.exec(line) ?? [];
    const isInner = name.startsWith('listener.admin.') || name.startsWith('listener.envoy_internal_');
    return name === '' || isInner || name.includes('worker_') || own.has(name) ? [] : [Number(value)];
  });
  return counts.reduce((sum, count) => sum + count, 0);
}
