/**
 * What a listener's filters learn of a connection before a filter chain is chosen: transport, server name, protocols.
 * Source: envoy source/extensions/filters/listener/{tls_inspector,http_inspector,original_dst,proxy_protocol}.
 */
import { isMessage } from '@bufbuild/protobuf';
import type {
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { HttpInspectorSchema } from '#proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts';
import { OriginalDstSchema } from '#proto/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts';
import { ProxyProtocolSchema } from '#proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts';
import { TlsInspectorSchema } from '#proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import type { CallConnection } from './call.ts';
import type { Evaluation } from './evaluation.ts';
import { foldAscii } from '#simulation/match/string.ts';
import { openAny } from './resources.ts';

/** What filter chains are matched on, beside the addresses. */
export interface ConnectionFacts {
  readonly transport: 'tls' | 'raw_buffer';
  /** In lower case. */
  readonly serverName: string;
  /** ALPN names, or what the first bytes of plain text say. */
  readonly applicationProtocols: readonly string[];
}

/** Runs the listener's filters over the connection. */
export function inspectConnection(
  evaluation: Evaluation,
  listener: Listener,
  connection: CallConnection,
): ConnectionFacts {
  let facts: ConnectionFacts = { transport: 'raw_buffer', serverName: '', applicationProtocols: [] };
  for (const filter of listener.listenerFilters) {
    if (filter.filterDisabled !== undefined && isDisabled(filter.filterDisabled, connection.port)) continue;
    facts = applyFilter(evaluation, filter, connection, facts);
  }
  return facts;
}

function applyFilter(
  evaluation: Evaluation,
  { name, configType }: ListenerFilter,
  connection: CallConnection,
  facts: ConnectionFacts,
): ConnectionFacts {
  const message = configType.case === 'typedConfig' ? openAny(configType.value) : undefined;
  if (message !== undefined && isMessage(message, TlsInspectorSchema)) {
    const { tls } = connection;
    if (tls === undefined) return facts;
    const serverName = foldAscii(tls.serverName);
    return { transport: 'tls', serverName, applicationProtocols: tls.alpn };
  }
  if (message !== undefined && isMessage(message, HttpInspectorSchema)) {
    if (facts.transport === 'tls') return facts;
    return { ...facts, applicationProtocols: plainProtocols(connection) };
  }
  const changesAddressesOnly =
    message !== undefined &&
    (isMessage(message, OriginalDstSchema) || isMessage(message, ProxyProtocolSchema));
  if (!changesAddressesOnly) evaluation.notEvaluated('listener', name, 'unknown listener filter');
  return facts;
}

/** TLS, seen as plain text, is no HTTP. */
function plainProtocols({ protocol, tls }: CallConnection): readonly string[] {
  if (tls !== undefined || protocol === 'tcp') return [];
  return protocol === 'http/2' ? ['h2c'] : ['http/1.1'];
}

function isDisabled({ rule }: ListenerFilterChainMatchPredicate, port: number): boolean {
  switch (rule.case) {
    case 'anyMatch':
      return rule.value;
    case 'notMatch':
      return !isDisabled(rule.value, port);
    case 'orMatch':
      return rule.value.rules.some((one) => isDisabled(one, port));
    case 'andMatch':
      return rule.value.rules.every((one) => isDisabled(one, port));
    case 'destinationPortRange':
      return port >= rule.value.start && port < rule.value.end;
    default:
      return false;
  }
}
