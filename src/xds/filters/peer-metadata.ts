/**
 * How the called side learns who calls, for metrics and logs only (never for policy; DESIGN.md section 6, docs/decisions/003).
 * Outbound, one filter writes facts from Envoy's environment into headers. Inbound, the peer's certificate is read once per
 * connection; the headers, believed only where mesh mTLS ended and never for the namespace, win over it and are removed.
 * Costs per request six short headers and as many filter state strings; expressions run once per connection.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { HeaderMutationSchema as MutationSchema } from '#proto/envoy/config/common/mutation_rules/v3/mutation_rules_pb.ts';
import { HeaderValueOption_HeaderAppendAction as AppendAction } from '#proto/envoy/config/core/v3/base_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { FilterStateValueSchema } from '#proto/envoy/extensions/filters/common/set_filter_state/v3/value_pb.ts';
import { HeaderMutationSchema } from '#proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts';
import { ConfigSchema as HttpStateSchema } from '#proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { ConfigSchema as NetworkStateSchema } from '#proto/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import { packAny } from '#xds/encode.ts';
import { celAt, celHas, celNot, celOr, celPath } from './cel-expression.ts';
import { constant, formatOperators, type Operator } from './format-operator.ts';
import { httpFilter } from './http-connection-manager.ts';
import { skippedWhere } from './skip-where.ts';
import { PEER_HEADER_PREFIX, PEER_LABELS, type PeerLabel, peerHeader, peerState } from './peer-labels.ts';

/** One inbound chain, as far as peer facts go. */
export interface InboundPeerInput {
  readonly carries: 'http' | 'tcp';
  /** Mesh mTLS ends in this chain. */
  readonly mutualTls: boolean;
}

/** A header's value may be this long: what a label value or a name may have. */
const MAX_VALUE_BYTES = 63;

/** The namespace is only ever the SPIFFE id's. */
const NAMESPACE_KEY = 'namespace';
const HEADER_LABELS: readonly PeerLabel[] = PEER_LABELS.filter((peer) => peer.key !== NAMESPACE_KEY);

/** Attribute of the certificate's subject that holds a fact (docs/decisions/003). */
const SUBJECT_ATTRIBUTE: Readonly<Record<string, string>> = {
  workload: 'CN',
  app: 'UID',
  version: 'OU',
  canonical_service: 'UID',
  canonical_revision: 'OU',
  cluster: 'L',
};

/** Facts for which the service account stands in where nothing else is known. */
const NAMED_BY_ACCOUNT: ReadonlySet<string> = new Set(['workload', 'app', 'canonical_service']);

/**
 * Requests that leave the mesh: their cluster is marked as external, or is none of a service. Without the metadata there would be no
 * such key to ask for.
 */
const CLUSTER_METADATA = celPath('xds.cluster_metadata.filter_metadata');
const LEAVES_MESH = celOr(
  celNot(celHas(CLUSTER_METADATA, 'istio')),
  celHas(celAt(CLUSTER_METADATA, 'istio'), 'external'),
);

/**
 * Filters of outbound and gateway connection managers: each header is set to this proxy's own fact, whatever the
 * application or an outside client sent (security case T20). `inMeshOnly`: what leaves the mesh gets none.
 */
export function outboundPeerFilters(inMeshOnly = false): HttpFilter[] {
  const sent = headerMutation(
    HEADER_LABELS.map((peer) => ({
      action: {
        case: 'append' as const,
        value: {
          header: { key: peerHeader(peer), value: `%ENVIRONMENT(${peer.variable})%` },
          appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
        },
      },
    })),
  );
  return [inMeshOnly ? skippedWhere(sent, LEAVES_MESH) : sent];
}

/** Filters of an inbound HTTP connection manager: facts into filter state, headers out of the application's sight. */
export function inboundPeerFilters(input: InboundPeerInput): HttpFilter[] {
  const strip = headerMutation([
    {
      action: {
        case: 'removeOnMatch',
        value: { keyMatcher: { matchPattern: { case: 'prefix', value: PEER_HEADER_PREFIX } } },
      },
    },
  ]);
  if (!input.mutualTls) return [strip];
  const state = create(HttpStateSchema, {
    onRequestHeaders: HEADER_LABELS.map((peer) =>
      stringState(peerState(peer), [
        { command: 'REQ', param: peerHeader(peer), maxLength: MAX_VALUE_BYTES },
        { command: 'FILTER_STATE', param: `${connectionState(peer, 'http')}:PLAIN` },
      ]),
    ),
  });
  return [httpFilter('lateen.peer_metadata', packAny(HttpStateSchema, state)), strip];
}

/**
 * Network filters before the connection manager or TCP proxy: what the peer's certificate says, read once when the
 * handshake is done. Nothing on a plaintext chain.
 */
export function inboundNetworkPeerFilters(input: InboundPeerInput): Filter[] {
  if (!input.mutualTls) return [];
  const state = create(NetworkStateSchema, {
    onDownstreamTlsHandshake: PEER_LABELS.map((peer) =>
      stringState(connectionState(peer, input.carries), certificateOperators(peer)),
    ),
  });
  return [
    create(FilterSchema, {
      name: 'lateen.peer_certificate',
      configType: { case: 'typedConfig', value: packAny(NetworkStateSchema, state) },
    }),
  ];
}

/**
 * Name of the connection's own fact. A request may not set filter state under a name that its connection uses, so under HTTP
 * the connection's facts have names of their own, but for the namespace, which a request never sets.
 */
function connectionState(peer: PeerLabel, carries: 'http' | 'tcp'): string {
  return carries === 'tcp' || peer.key === NAMESPACE_KEY ? peerState(peer) : `lateen.tls_peer_${peer.key}`;
}

/** Where the certificate may say it, best first. */
function certificateOperators(peer: PeerLabel): Operator[] {
  const operators: Operator[] = [];
  const attribute = SUBJECT_ATTRIBUTE[peer.key];
  if (attribute !== undefined) {
    operators.push(extract('connection.subject_peer_certificate', `(?:^|,)${attribute}=([^,]*)`));
  }
  if (peer.key === NAMESPACE_KEY) {
    operators.push(extract('connection.uri_san_peer_certificate', '^spiffe://[^/]+/ns/([^/]+)/sa/'));
  } else if (NAMED_BY_ACCOUNT.has(peer.key)) {
    operators.push(extract('connection.uri_san_peer_certificate', '^spiffe://[^/]+/ns/[^/]+/sa/([^/]+)'));
  }
  return [...operators, constant(peer.missing)];
}

/** The first group of a pattern; no value where the pattern does not match. */
function extract(attribute: string, pattern: string): Operator {
  return {
    command: 'CEL',
    param: `re.extract(${attribute}, r'${pattern}', r'\\1')`,
    maxLength: MAX_VALUE_BYTES,
  };
}

function stringState(
  key: string,
  operators: readonly Operator[],
): MessageInitShape<typeof FilterStateValueSchema> {
  return {
    key: { case: 'objectKey', value: key },
    factoryKey: 'envoy.string',
    value: {
      case: 'formatString',
      value: {
        format: {
          case: 'textFormatSource',
          value: { specifier: { case: 'inlineString', value: formatOperators(operators) } },
        },
      },
    },
  };
}

function headerMutation(requestMutations: MessageInitShape<typeof MutationSchema>[]): HttpFilter {
  const config = create(HeaderMutationSchema, { mutations: { requestMutations } });
  return httpFilter('lateen.peer_headers', packAny(HeaderMutationSchema, config));
}
