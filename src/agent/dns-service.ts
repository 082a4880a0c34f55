/**
 * DNS in the agent, put together: reads resolv.conf, opens the server, and feeds it from Envoy's configuration streams.
 */
import { readFile } from 'node:fs/promises';
import { openNameFeed } from './dns-name-feed.ts';
import {
  type DnsSettings,
  listenAddresses,
  nameScope,
  parseResolvConf,
  type ResolvConf,
} from './dns-options.ts';
import { DnsServer } from './dns-server.ts';
import type { SingletonFeed } from './singleton-feed.ts';
import type { AgentParts } from './workload-certificate.ts';

/** A running DNS server. */
export interface AgentDns {
  readonly server: DnsServer;
  /** To join the configuration streams that Envoy opens. */
  readonly feed: SingletonFeed;
}

/** Starts DNS. Errors: rejects when a port is taken. */
export async function startDns(settings: DnsSettings, parts: AgentParts): Promise<AgentDns> {
  const conf = await readResolvConf(settings);
  const server = new DnsServer(
    { ...settings, servers: conf.servers, addresses: listenAddresses(settings, conf) },
    parts,
  );
  await server.start();
  const feed = openNameFeed(server, nameScope(settings, conf), parts.log);
  return { server, feed };
}

/** Without the file there are no resolvers, and nothing but the mesh's names is known. */
async function readResolvConf({ resolvConfPaths }: DnsSettings): Promise<ResolvConf> {
  for (const path of resolvConfPaths) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return parseResolvConf(text);
  }
  return parseResolvConf('');
}
