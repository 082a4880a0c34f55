/**
 * Which virtual host has an authority: exact names, then `*.suffix`, then `prefix.*`, each by length, then `*`.
 * The index is made once per route configuration. Source: envoy source/common/router/config_impl.cc findVirtualHost.
 */
import { identityMemo } from '#collections/identity-memo.ts';
import type { VirtualHost } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import { foldAscii } from '#simulation/match/string.ts';

interface HostIndex {
  readonly exact: ReadonlyMap<string, VirtualHost>;
  /** Longest first, without the asterisk. */
  readonly suffixes: readonly (readonly [text: string, host: VirtualHost])[];
  readonly prefixes: readonly (readonly [text: string, host: VirtualHost])[];
  readonly any: VirtualHost | undefined;
}

/** The virtual host; undefined: no route, 404. */
export function findVirtualHost(routes: RouteConfiguration, authority: string): VirtualHost | undefined {
  const { exact, suffixes, prefixes, any } = indexOf(routes);
  const host = foldAscii(routes.ignorePortInHostMatching ? withoutPort(authority) : authority);
  if (host === '') return any;
  // A wildcard stands for at least one character.
  const fits = (text: string): boolean => text.length < host.length;
  return (
    exact.get(host) ??
    suffixes.find(([text]) => fits(text) && host.endsWith(text))?.[1] ??
    prefixes.find(([text]) => fits(text) && host.startsWith(text))?.[1] ??
    any
  );
}

/** Cuts off what is behind the last colon, unless it is part of an IPv6 address in brackets. */
export function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(':');
  return colon < 0 || authority.lastIndexOf(']') > colon ? authority : authority.slice(0, colon);
}

const indexOf = identityMemo((routes: RouteConfiguration): HostIndex => {
  const exact = new Map<string, VirtualHost>();
  const suffixes: (readonly [string, VirtualHost])[] = [];
  const prefixes: (readonly [string, VirtualHost])[] = [];
  let any: VirtualHost | undefined;
  for (const host of routes.virtualHosts) {
    for (const domain of host.domains.map(foldAscii)) {
      if (domain === '*') any = host;
      else if (domain.startsWith('*')) suffixes.push([domain.slice(1), host]);
      else if (domain.endsWith('*')) prefixes.push([domain.slice(0, -1), host]);
      else exact.set(domain, host);
    }
  }
  const longestFirst = (a: readonly [string, unknown], b: readonly [string, unknown]): number =>
    b[0].length - a[0].length;
  return { exact, suffixes: suffixes.sort(longestFirst), prefixes: prefixes.sort(longestFirst), any };
});
