/**
 * Which filter chain of a listener takes a connection. Criterion after criterion the most specific value that fits is chosen, and
 * there is no way back: a chain that would fit is not found when a more specific one of an earlier criterion leads elsewhere.
 * Source: envoy source/common/listener_manager/filter_chain_manager_impl.cc findFilterChain.
 */
import { parseIp } from '#base/cidr.ts';
import type { CidrRange } from '#proto/envoy/config/core/v3/address_pb.ts';
import {
  type FilterChain,
  type FilterChainMatch,
  FilterChainMatch_ConnectionSourceType as SourceType,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { CallConnection } from './call.ts';
import type { ConnectionFacts } from './connection.ts';
import { inCidr } from '#simulation/match/address.ts';
import { foldAscii } from '#simulation/match/string.ts';

/** A connection as chains see it. */
interface Candidate {
  readonly connection: CallConnection;
  readonly facts: ConnectionFacts;
}

/** The rank of how a chain fits one criterion: -1 not at all, else the higher the more specific. */
type Criterion = (match: FilterChainMatch | undefined, candidate: Candidate) => number;

const CRITERIA: readonly Criterion[] = [
  destinationPort,
  (match, { connection }) => prefixRank(match?.prefixRanges, connection.address),
  serverName,
  transportProtocol,
  applicationProtocol,
  (match, { connection }) => prefixRank(match?.directSourcePrefixRanges, connection.sourceAddress),
  sourceType,
  (match, { connection }) => prefixRank(match?.sourcePrefixRanges, connection.sourceAddress),
  sourcePort,
];

/** The chain, or the default one; undefined: the connection is closed. */
export function findFilterChain(
  listener: Listener,
  connection: CallConnection,
  facts: ConnectionFacts,
): FilterChain | undefined {
  const candidate = { connection, facts };
  let chains: readonly FilterChain[] = listener.filterChains;
  for (const criterion of CRITERIA) chains = mostSpecific(chains, criterion, candidate);
  return chains[0] ?? listener.defaultFilterChain;
}

function mostSpecific(
  chains: readonly FilterChain[],
  criterion: Criterion,
  candidate: Candidate,
): readonly FilterChain[] {
  const ranks = chains.map((chain) => criterion(chain.filterChainMatch, candidate));
  const best = Math.max(-1, ...ranks);
  return best < 0 ? [] : chains.filter((_chain, i) => ranks[i] === best);
}

function destinationPort(match: FilterChainMatch | undefined, { connection }: Candidate): number {
  const wanted = match?.destinationPort;
  if (wanted === undefined) return 0;
  return wanted === connection.port ? 1 : -1;
}

/** The length of the longest prefix that the address is in; without prefixes, every address. */
function prefixRank(ranges: readonly CidrRange[] = [], address: string): number {
  if (ranges.length === 0) return 0;
  const lengths = ranges.map((range) => (inCidr(range, address) ? (range.prefixLen ?? 0) : -1));
  return Math.max(-1, ...lengths);
}

/** Exact, then wildcards by length, then any. */
function serverName(match: FilterChainMatch | undefined, { facts }: Candidate): number {
  const wanted = match?.serverNames ?? [];
  if (wanted.length === 0) return 0;
  const name = facts.serverName;
  if (name === '') return -1;
  return Math.max(-1, ...wanted.map((pattern) => nameRank(foldAscii(pattern), name)));
}

function nameRank(pattern: string, name: string): number {
  if (pattern === name) return Number.MAX_SAFE_INTEGER;
  // `*.a.b` takes every name below, at least one character more.
  const fits = pattern.startsWith('*.') && name.length >= pattern.length && name.endsWith(pattern.slice(1));
  return fits ? pattern.length : -1;
}

function transportProtocol(match: FilterChainMatch | undefined, { facts }: Candidate): number {
  const wanted = match?.transportProtocol ?? '';
  if (wanted === '') return 0;
  return wanted === facts.transport ? 1 : -1;
}

/** The first of the client's protocols that some chain names, before chains that name none. */
function applicationProtocol(match: FilterChainMatch | undefined, { facts }: Candidate): number {
  const wanted = match?.applicationProtocols ?? [];
  if (wanted.length === 0) return 0;
  const offered = facts.applicationProtocols;
  const first = offered.findIndex((protocol) => wanted.includes(protocol));
  return first < 0 ? -1 : offered.length - first;
}

function sourceType(match: FilterChainMatch | undefined, { connection }: Candidate): number {
  const isLocal = connection.sourceAddress === connection.address || isLoopback(connection.sourceAddress);
  switch (match?.sourceType ?? SourceType.ANY) {
    case SourceType.SAME_IP_OR_LOOPBACK:
      return isLocal ? 1 : -1;
    case SourceType.EXTERNAL:
      return isLocal ? -1 : 1;
    default:
      return 0;
  }
}

function isLoopback(address: string): boolean {
  return parseIp(address)?.[0] === 127 || address === '::1';
}

function sourcePort(match: FilterChainMatch | undefined, { connection }: Candidate): number {
  const wanted = match?.sourcePorts ?? [];
  if (wanted.length === 0) return 0;
  return wanted.includes(connection.sourcePort) ? 1 : -1;
}
