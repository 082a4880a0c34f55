/**
 * A call at one proxy: listener, filter chain, handshake, network filters, and for HTTP all that follows. The same function
 * serves a sidecar's outbound and inbound side and gateways: what differs is in the configuration.
 */
import type { CallConnection, CallRequest } from './call.ts';
import { type ConnectionFacts, inspectConnection } from './connection.ts';
import type { Evaluation } from './evaluation.ts';
import { findFilterChain } from './filter-chain.ts';
import { type Direction, findListener } from './listener.ts';
import { runNetworkFilters } from './network-filters.ts';
import type { Verdict } from './simulated-call.ts';
import { handshake } from './tls.ts';

/** A call as it comes to a proxy. */
export interface HopCall {
  readonly direction: Direction;
  readonly connection: CallConnection;
  readonly request: CallRequest | undefined;
}

/** How the call ends at this proxy. */
export function simulateHop(evaluation: Evaluation, { direction, connection, request }: HopCall): Verdict {
  const { address, port } = connection;
  const found = findListener(evaluation.snapshot.listeners, direction, address, port);
  if (found === undefined) {
    evaluation.note('listener', `${address}:${port}`, 'nobody listens');
    return { kind: 'no-listener' };
  }
  const { listener, entry } = found;
  evaluation.note('listener', listener.name, `takes ${address}:${port}`, entry.causes);
  if (listener.filterChainMatcher !== undefined) {
    evaluation.notEvaluated('filter-chain', listener.name, 'matcher tree of the listener');
  }
  const facts = inspectConnection(evaluation, listener, connection);
  const chain = findFilterChain(listener, connection, facts);
  const traits = describe(facts);
  if (chain === undefined) {
    evaluation.note('filter-chain', listener.name, `no chain for ${traits}: closed`, entry.causes);
    return { kind: 'no-chain' };
  }
  evaluation.note('filter-chain', chain.name || listener.name, `chosen for ${traits}`);
  const result = handshake(evaluation, chain.transportSocket, connection.tls);
  if (!result.isAccepted) return { kind: 'tls-refused', reason: result.reason };
  return runNetworkFilters(evaluation, chain.filters, { connection, facts, peer: result.peer }, request);
}

function describe({ transport, serverName, applicationProtocols }: ConnectionFacts): string {
  const name = serverName === '' ? '' : ` to ${serverName}`;
  const protocols = applicationProtocols.length === 0 ? '' : ` speaking ${applicationProtocols.join(', ')}`;
  return (transport === 'tls' ? 'TLS' : 'plain text') + name + protocols;
}
