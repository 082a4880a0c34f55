/**
 * DNS in the agent, put together: reads resolv.conf, opens the server, and feeds it from Envoy's configuration streams.
 */
import { readFile } from 'node:fs/promises';
import { DnsNameFeed } from './dns-name-feed.ts';
import {
  type DnsSettings,
  listenAddresses,
  nameScope,
  parseResolvConf,
  type ResolvConf,
} from './dns-options.ts';
import { DnsServer } from './dns-server.ts';
import type { StreamTap } from './stream-tap.ts';
import type { AgentParts } from './workload-certificate.ts';

/** A running DNS server. */
export interface AgentDns {
  readonly server: DnsServer;
  /** Joins a configuration stream that Envoy opens. */
  tap(isDelta: boolean): StreamTap;
}

/** Starts DNS. Errors: rejects when a port is taken. */
export async function startDns(settings: DnsSettings, parts: AgentParts): Promise<AgentDns> {
  const conf = await readResolvConf(settings);
  const server = new DnsServer(
    { ...settings, servers: conf.servers, addresses: listenAddresses(settings, conf) },
    parts,
  );
  await server.start();
  const feed = new DnsNameFeed(server, nameScope(settings, conf), parts.log);
  return { server, tap: (isDelta) => feed.open(isDelta) };
}

/** Without the file there are no resolvers, and nothing but the mesh's names is known. */
async function readResolvConf({ resolvConfPaths }: DnsSettings): Promise<ResolvConf> {
  for (const path of resolvConfPaths) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return parseResolvConf(text);
  }
  return parseResolvConf('');
}
