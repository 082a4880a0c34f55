/**
 * Virtual hosts for the HTTP proxy listener, where requests for all ports arrive: told apart by the port in the Host
 * header, which is left out for port 80. Istio ignores the port of Host here too and so reaches port 80 only; ours does
 * not, because on one machine this listener is how all HTTP goes out.
 */
import { sortedBy } from '#base/bytes-order.ts';
import type { Interner } from '#collections/interner.ts';
import { internHosts, type ShardVariant } from './host-shard.ts';
import type { OutboundVirtualHost } from './outbound-virtual-host.ts';
import { replaceDomains } from './virtual-host.ts';

/** The port that a Host without port means. */
const DEFAULT_HTTP_PORT = 80;

/** All hosts of a view with ports in their domains, in order of their names. */
export function proxyShard(interner: Interner, view: string, shards: readonly ShardVariant[]): ShardVariant {
  const hosts = shards.flatMap((shard) => shard.hosts).flatMap((host) => withPorts(host) ?? []);
  const ordered = sortedBy(hosts, (host) => host.encoded.name);
  return {
    view,
    hosts: ordered,
    encoded: internHosts(
      interner,
      ordered.map((host) => host.encoded),
    ),
  };
}

function withPorts(host: OutboundVirtualHost): OutboundVirtualHost | undefined {
  if (host.forHttpProxy === undefined) return undefined;
  const domains = host.forHttpProxy.domains.domains.flatMap((domain) =>
    host.port === DEFAULT_HTTP_PORT ? [domain, `${domain}:${host.port}`] : [`${domain}:${host.port}`],
  );
  return { ...host, encoded: replaceDomains(host.forHttpProxy, domains) };
}
