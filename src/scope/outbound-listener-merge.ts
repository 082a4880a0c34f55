/**
 * Claims to one address and port become one listener: which of them have it, in which order their chains stand, and when a port
 * must be looked into because HTTP and bytes meet there.
 * Source: istio pilot/pkg/networking/core/listener.go buildSidecarOutboundListener, mergeTCPFilterChains, conflictsWith.
 */
import { formatCidr, parseCidr } from '#base/cidr.ts';
import type { Cause } from '#base/cause.ts';
import type { Protocol } from '#model/service.ts';
import { isHttp } from '#model/service-protocol.ts';
import { compareClaims, type OutboundClaim } from './outbound-listener.ts';
import { type ClaimedChains, httpChain, type OutboundChain } from './outbound-listener-chains.ts';

/** What the claims come to. */
export interface MergedListener {
  /** The claim that the listener is named and placed after. */
  readonly first: OutboundClaim;
  readonly chains: readonly OutboundChain[];
  readonly causes: readonly Cause[];
}

/** Finds the chains of a claim for bytes. */
export type StreamsOf = (claim: OutboundClaim) => ClaimedChains;

/** The listener of claims with one key; `canHave` says whether the proxy can listen for a claim at all. */
export function mergeClaims(
  claims: Iterable<OutboundClaim>,
  streamsOf: StreamsOf,
  canHave: (claim: OutboundClaim) => boolean,
): MergedListener | undefined {
  const ordered = [...claims].filter(canHave).sort(compareClaims);
  const [first] = ordered;
  if (first === undefined) return undefined;
  const draft = new ListenerDraft(streamsOf);
  // A Sidecar's listener for one port has the port for itself: the listener of all ports adds nothing to it.
  for (const claim of ordered) if (!claim.isCatchAll || claim.egress === first.egress) draft.add(claim);
  return draft.result();
}

/** What the listener is at the moment: one protocol, or looked into. */
type Mode = 'http' | 'tcp' | 'auto';

class ListenerDraft {
  readonly #streamsOf: StreamsOf;
  #first: OutboundClaim | undefined;
  #mode: Mode = 'tcp';
  /** Protocol of the claim that made the listener; `Unsupported` once it is looked into. */
  #protocol: Protocol = 'Unsupported';
  #chains: OutboundChain[] = [];
  #causes: Cause[] = [];

  constructor(streamsOf: StreamsOf) {
    this.#streamsOf = streamsOf;
  }

  result(): MergedListener | undefined {
    const first = this.#first;
    if (first === undefined) return undefined;
    const sidecar = first.sidecar === undefined ? [] : [first.sidecar];
    return { first, chains: this.#chains, causes: [...sidecar, ...this.#causes] };
  }

  add(claim: OutboundClaim): void {
    if (this.#first !== undefined && claim.protocol !== 'HTTP_PROXY' && this.#clashes(claim.protocol)) return;
    if (claim.kind === 'http') this.#addHttp(claim);
    else if (claim.kind === 'auto') this.#addAuto(claim);
    else this.#addBytes(claim);
  }

  /** The server speaks first: such a port cannot be looked into. */
  #clashes(protocol: Protocol): boolean {
    const speaksFirst = (one: Protocol): boolean => one === 'Mongo' || one === 'MySQL';
    return protocol !== this.#protocol && (speaksFirst(protocol) || speaksFirst(this.#protocol));
  }

  #addHttp(claim: OutboundClaim): void {
    const isProxy = claim.protocol === 'HTTP_PROXY';
    const chain = httpChain(claim, claim.isAnywhere && !isProxy);
    const mode = chain.onlyHttp ? 'auto' : 'http';
    if (this.#first === undefined) return this.#start(claim, mode, { chains: [chain], causes: claim.causes });
    // Services of HTTP share the routes of the port.
    this.#causes.push(...claim.causes);
    if (this.#mode !== 'tcp') return;
    this.#mode = 'auto';
    this.#protocol = 'Unsupported';
    this.#merge({ chains: [chain], causes: [] });
  }

  #addBytes(claim: OutboundClaim): void {
    const own = this.#streamsWithCauses(claim);
    if (this.#first === undefined) return this.#start(claim, 'tcp', own);
    if (this.#mode === 'http') {
      this.#mode = 'auto';
      this.#protocol = 'Unsupported';
    }
    this.#merge(own);
  }

  #addAuto(claim: OutboundClaim): void {
    const own = this.#streamsWithCauses(claim);
    const both = { chains: [...own.chains, httpChain(claim, true)], causes: own.causes };
    if (this.#first === undefined || this.#mode === 'http') return this.#start(claim, 'auto', both);
    const wasTcp = this.#mode === 'tcp';
    this.#mode = 'auto';
    this.#protocol = 'Unsupported';
    this.#merge(wasTcp ? both : own);
  }

  #streamsWithCauses(claim: OutboundClaim): ClaimedChains {
    const { chains, causes } = this.#streamsOf(claim);
    return { chains, causes: [...claim.causes, ...causes] };
  }

  #start(claim: OutboundClaim, mode: Mode, { chains, causes }: ClaimedChains): void {
    this.#first = claim;
    this.#mode = mode;
    this.#protocol = mode === 'auto' && isHttp(claim.protocol) ? 'Unsupported' : claim.protocol;
    this.#chains = [...chains];
    this.#causes.push(...causes);
  }

  /** A chain that looks for the same as an earlier one is left out: Envoy would refuse the listener. */
  #merge({ chains, causes }: ClaimedChains): void {
    const added = chains.filter((chain) => {
      const isNew = !this.#chains.some((known) => matchesSame(known, chain));
      if (isNew) this.#chains.push(chain);
      return isNew;
    });
    if (added.length > 0) this.#causes.push(...causes);
  }
}

function matchesSame(a: OutboundChain, b: OutboundChain): boolean {
  return (
    a.onlyHttp === b.onlyHttp &&
    sameMembers(serverNames(a), serverNames(b)) &&
    sameMembers(ranges(a), ranges(b))
  );
}

function serverNames({ sniHosts }: OutboundChain): ReadonlySet<string> {
  return new Set(sniHosts.filter((host) => host !== '*'));
}

/** As networks: 10.1.2.3/8 is 10.0.0.0/8. All of IPv4 is no condition. */
function ranges({ cidrs }: OutboundChain): ReadonlySet<string> {
  const networks = cidrs.flatMap((text) => {
    const parsed = parseCidr(text);
    return parsed.ok ? [formatCidr(parsed.value)] : [];
  });
  return new Set(networks.filter((network) => !network.startsWith('0.0.0.0/')));
}

function sameMembers(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}
