/**
 * The control plane's name table, as the agent looks names up in it. Short forms and forms with a search domain are worked
 * out per query, so that the table costs one entry per host however it may be called.
 * Source: istio.networking.nds.v1.NameTable; Istio pkg/dns/client/dns.go lookupHost, generateAltHosts, buildDNSAnswers.
 */
import { isIp } from '#base/cidr.ts';
import { WireReader } from '#base/proto-wire.ts';

/** Who asks. */
export interface NameScope {
  readonly namespace: string;
  /** Domain of all services, `svc.cluster.local`. */
  readonly domain: string;
  /** The first search domain of the machine; '' when there is none. */
  readonly searchDomain: string;
}

/** What a name stands for. */
export interface FoundName {
  /** At least one, of both families. */
  readonly addresses: readonly string[];
  /** The name in full, where the query came with a search domain behind it. */
  readonly canonicalName: string | undefined;
}

interface Host {
  readonly addresses: readonly string[];
  /** Services of Kubernetes go by short names too. */
  readonly hasShortForms: boolean;
}

const KUBERNETES = 'Kubernetes';

/** Names as of one message of the control plane. Immutable. */
export class DnsNameTable {
  readonly #scope: NameScope;
  /** By host name in lower case, with the dot at its end. */
  readonly #hosts: ReadonlyMap<string, Host>;

  constructor(scope: NameScope, hosts: ReadonlyMap<string, Host>) {
    this.#scope = scope;
    this.#hosts = hosts;
  }

  get size(): number {
    return this.#hosts.size;
  }

  /** Looks a name up, in lower case with the dot at its end. Undefined: the mesh knows nothing of it. */
  find(name: string): FoundName | undefined {
    const exact = this.#named(name) ?? this.#searched(name, (rest) => this.#named(rest));
    if (exact !== undefined) return exact;
    // The most specific wildcard first; each may have been asked for with the search domain too.
    for (let dot = name.indexOf('.'); dot >= 0 && dot < name.length - 1; dot = name.indexOf('.', dot + 1)) {
      const suffix = name.slice(dot);
      const found = this.#wildcard(suffix) ?? this.#searched(suffix, (rest) => this.#wildcard(rest));
      if (found === undefined) continue;
      if (found.canonicalName === undefined) return found;
      // Resolvers refuse a `*` in the name that an alias leads to.
      return { ...found, canonicalName: name.slice(0, dot) + found.canonicalName };
    }
    return undefined;
  }

  /** Every host with its addresses as text, for people. */
  *entries(): Iterable<readonly [string, readonly string[]]> {
    for (const [name, { addresses }] of this.#hosts) yield [name, addresses];
  }

  #named(name: string): FoundName | undefined {
    const host = this.#hosts.get(name) ?? this.#shortForm(name);
    return host === undefined ? undefined : { addresses: host.addresses, canonicalName: undefined };
  }

  #wildcard(suffix: string): FoundName | undefined {
    const host = this.#hosts.get(`*${suffix}`);
    return host === undefined ? undefined : { addresses: host.addresses, canonicalName: undefined };
  }

  /** `a`, `a.ns` and `a.ns.svc` for hosts of the own domain. */
  #shortForm(name: string): Host | undefined {
    const { domain, namespace } = this.#scope;
    if (domain === '') return undefined;
    const short = name.slice(0, -1);
    const [head = ''] = domain.split('.');
    const bare = short.endsWith(`.${head}`) ? short.slice(0, -head.length - 1) : short;
    const candidates = [`${bare}.${domain}.`, `${short}.${namespace}.${domain}.`];
    const hosts = candidates.map((candidate) => this.#hosts.get(candidate));
    return hosts.find((host) => host?.hasShortForms === true);
  }

  /** A name with the first search domain behind it, which resolvers try before the name itself. */
  #searched(name: string, find: (rest: string) => FoundName | undefined): FoundName | undefined {
    const { searchDomain } = this.#scope;
    const ending = `.${searchDomain}.`;
    if (searchDomain === '' || !name.endsWith(ending)) return undefined;
    const rest = name.slice(0, -ending.length + 1);
    if (rest.endsWith(ending)) return undefined;
    const found = find(rest);
    return found === undefined ? undefined : { ...found, canonicalName: rest };
  }
}

/** Reads a NameTable message. Hosts without a usable address are left out. Errors: WireError. */
export function decodeNameTable(bytes: Uint8Array, scope: NameScope): DnsNameTable {
  const hosts = new Map<string, Host>();
  const reader = new WireReader(bytes);
  while (reader.next()) if (reader.field === 1) readEntry(reader.bytes(), hosts);
  return new DnsNameTable(scope, hosts);
}

function readEntry(bytes: Uint8Array, hosts: Map<string, Host>): void {
  const reader = new WireReader(bytes);
  let name = '';
  let info: Uint8Array = new Uint8Array();
  while (reader.next()) {
    if (reader.field === 1) name = reader.string().toLowerCase();
    else if (reader.field === 2) info = reader.bytes();
  }
  const host = readInfo(info);
  if (name === '' || host.addresses.length === 0) return;
  hosts.set(name.endsWith('.') ? name : `${name}.`, host);
}

function readInfo(bytes: Uint8Array): Host {
  const reader = new WireReader(bytes);
  const addresses: string[] = [];
  let registry = '';
  let shortName = '';
  while (reader.next()) {
    if (reader.field === 1) addresses.push(reader.string());
    else if (reader.field === 2) registry = reader.string();
    else if (reader.field === 3) shortName = reader.string();
  }
  return { addresses: addresses.filter(isIp), hasShortForms: registry === KUBERNETES && shortName !== '' };
}
