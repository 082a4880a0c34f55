/**
 * What the agent's DNS server is told: Istio's variables, and the machine's resolv.conf. Pure: the file's text is handed in.
 * Source: Istio pilot/cmd/pilot-agent/options/options.go, pkg/dns/client/dns.go NewLocalDNSServer; resolv.conf(5).
 */
import { isIpv4, isIpv6 } from '#base/cidr.ts';
import { parseDurationMs } from '#base/duration.ts';
import type { SocketAddress } from './bootstrap-settings.ts';
import type { NameScope } from './dns-name-table.ts';

/** Everything but what resolv.conf says. */
export interface DnsSettings {
  readonly listen: SocketAddress;
  /** The first that is there counts. */
  readonly resolvConfPaths: readonly string[];
  /** Unknown names are asked for at all resolvers at once. */
  readonly isParallel: boolean;
  /** How long one resolver may take. */
  readonly timeoutMs: number;
  /** Names go to the resolvers while there is no table yet; else they fail, so that nobody learns a wrong answer. */
  readonly respondsBeforeTable: boolean;
  readonly namespace: string;
  readonly domain: string;
}

/** What of resolv.conf counts. */
export interface ResolvConf {
  readonly servers: readonly SocketAddress[];
  readonly searchDomains: readonly string[];
}

/** Where the options come from. */
export interface DnsOptionSources {
  readonly kind: 'sidecar' | 'router';
  readonly namespace: string;
  /** Domain of the workload's namespace, `default.svc.cluster.local`. */
  readonly domain: string;
  readonly isRoot: boolean;
  text(name: string): string | undefined;
  /** Notes a variable that could not be used. */
  problem(name: string): void;
}

const DEFAULT_ADDRESS: SocketAddress = { address: 'localhost', port: 15_053 };
const DNS_PORT = 53;
const DEFAULT_TIMEOUT_MS = 5_000;
const RESOLV_CONF = '/etc/resolv.conf';
/** What is in resolv.conf before its nameserver is replaced by the agent. */
const SAVED_RESOLV_CONF = '/var/lib/istio/resolv.conf';
const MAX_SERVERS = 16;

/** Reads the options; undefined when there is to be no DNS server. */
export function readDnsSettings(sources: DnsOptionSources): DnsSettings | undefined {
  const isCaptured = isTrue(sources.text('ISTIO_META_DNS_CAPTURE')) && sources.kind === 'sidecar';
  if (!isCaptured && !isTrue(sources.text('ISTIO_META_ENABLE_DNS_SERVER'))) return undefined;
  const listen = listenAddress(sources);
  const isSystemResolver = listen.port === DNS_PORT;
  const given = sources.text('LATEEN_RESOLV_CONF');
  const systemPaths = isSystemResolver ? [SAVED_RESOLV_CONF, RESOLV_CONF] : [RESOLV_CONF];
  return {
    listen,
    resolvConfPaths: given === undefined ? systemPaths : [given],
    isParallel: isTrue(sources.text('DNS_FORWARD_PARALLEL')),
    timeoutMs: timeout(sources),
    respondsBeforeTable: isSystemResolver,
    namespace: sources.namespace,
    domain: sources.domain,
  };
}

/** Port 53 is for root, who has no interception then; anybody else gets the default. */
function listenAddress(sources: DnsOptionSources): SocketAddress {
  const own = sources.text('LATEEN_LISTEN_ADDRESS');
  const fallback = own === undefined ? DEFAULT_ADDRESS : { ...DEFAULT_ADDRESS, address: own };
  const text = sources.text('DNS_PROXY_ADDR');
  if (text === undefined) return fallback;
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[A-Za-z0-9._-]*)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.['port']);
  const isUsable = match !== null && port > 0 && port < 65_536 && (port !== DNS_PORT || sources.isRoot);
  if (!isUsable) {
    sources.problem('DNS_PROXY_ADDR');
    return fallback;
  }
  const host = match.groups?.['v6'] ?? match.groups?.['host'] ?? '';
  return { address: host === '' ? '::' : host, port };
}

function timeout(sources: DnsOptionSources): number {
  const text = sources.text('DNS_FORWARD_TIMEOUT');
  if (text === undefined) return DEFAULT_TIMEOUT_MS;
  const parsed = parseDurationMs(text);
  if (parsed.ok && parsed.value > 0) return parsed.value;
  sources.problem('DNS_FORWARD_TIMEOUT');
  return DEFAULT_TIMEOUT_MS;
}

/** As Go reads truth. */
function isTrue(text: string | undefined): boolean {
  return text !== undefined && ['1', 't', 'true'].includes(text.toLowerCase());
}

/** Reads resolv.conf. A server may name its port as OpenBSD has it, `[127.0.0.1]:5353`. What cannot be read is left out. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: SocketAddress[] = [];
  let searchDomains: readonly string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver') servers.push(...values.slice(0, 1).flatMap(serverAddress));
    if (keyword === 'search' || keyword === 'domain') searchDomains = values.map(withoutDot);
  }
  return { servers: servers.slice(0, MAX_SERVERS), searchDomains: searchDomains.filter((one) => one !== '') };
}

function serverAddress(text: string): readonly SocketAddress[] {
  const bracketed = /^\[([^\]]+)\]:(\d{1,5})$/.exec(text);
  const [address = '', zone = ''] = (bracketed?.[1] ?? text).split('%', 2);
  const port = Number(bracketed?.[2] ?? DNS_PORT);
  if (!(isIpv4(address) || isIpv6(address)) || port === 0 || port > 65_535) return [];
  return [{ address: zone === '' ? address : `${address}%${zone}`, port }];
}

function withoutDot(domain: string): string {
  return domain.toLowerCase().replace(/\.$/, '');
}

/** From where names are looked up. The domain of services is that of the namespace without the namespace. */
export function nameScope(settings: DnsSettings, conf: ResolvConf): NameScope {
  const { namespace, domain } = settings;
  const own = `${namespace}.`;
  return {
    namespace,
    domain: (domain.startsWith(own) ? domain.slice(own.length) : domain).toLowerCase(),
    searchDomain: conf.searchDomains[0] ?? '',
  };
}

/** The addresses to listen on: `localhost` stands for those of the families that the machine's resolvers have. */
export function listenAddresses({ listen }: DnsSettings, conf: ResolvConf): readonly SocketAddress[] {
  if (listen.address !== 'localhost') return [listen];
  const isVersion6 = ({ address }: SocketAddress): boolean => address.includes(':');
  const hasVersion6 = conf.servers.some(isVersion6);
  const hasVersion4 = conf.servers.length === 0 || conf.servers.some((server) => !isVersion6(server));
  return [
    ...(hasVersion4 ? [{ address: '127.0.0.1', port: listen.port }] : []),
    ...(hasVersion6 ? [{ address: '::1', port: listen.port }] : []),
  ];
}
