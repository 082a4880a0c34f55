/**
 * The connection that a proxy makes to an endpoint, as the next proxy sees it: plain text or TLS by the endpoint's metadata, the
 * proxy's own certificate, ALPN names, and the HTTP version that the cluster speaks.
 */
import { isMessage } from '@bufbuild/protobuf';
import type { Cluster } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import type { TransportSocket } from '#proto/envoy/config/core/v3/base_pb.ts';
import type { LbEndpoint } from '#proto/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { UpstreamTlsContextSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { CallProtocol, CallRequest, ClientCertificate, ClientTls } from './call.ts';
import { type FoundCluster, findCluster } from './cluster.ts';
import type { Evaluation } from './evaluation.ts';
import type { HopCall } from './hop.ts';
import { decodeEndpoints, openAny } from './resources.ts';
import type { EndpointShare, Verdict } from './simulated-call.ts';

const TRANSPORT_SOCKET_MATCH = 'envoy.transport_socket_match';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
/** Where our outbound filter finds the ALPN names of mesh HTTP (xds/filters/alpn.ts). */
const ALPN_METADATA = ['lateen', 'alpn'] as const;
/** The source port of a connection is chosen by the kernel. */
const ANY_PORT = 0;

type Sent = Extract<Verdict, { kind: 'routed' | 'tcp' }>;

/** The call as it arrives at `endpoint`. */
export function upstreamCall(
  evaluation: Evaluation,
  verdict: Verdict,
  endpoint: EndpointShare,
  before: HopCall,
): HopCall {
  if (verdict.kind !== 'routed' && verdict.kind !== 'tcp') throw new Error(`${verdict.kind} goes nowhere`);
  const found = findCluster(evaluation, verdict.cluster);
  const { cluster } = found ?? {};
  const socket = found === undefined ? undefined : socketFor(evaluation, found, endpoint);
  const tls = upstreamTls(evaluation, cluster, socket, verdict);
  // Bytes that are TLS of the client's own stay so.
  const passedOn = verdict.kind === 'tcp' && tls === undefined ? before.connection.tls : tls;
  return {
    direction: 'inbound',
    connection: {
      sourceAddress: evaluation.proxy.addresses[0] ?? before.connection.sourceAddress,
      sourcePort: ANY_PORT,
      address: endpoint.address,
      port: endpoint.port,
      protocol: verdict.kind === 'tcp' ? before.connection.protocol : upstreamProtocol(cluster, before),
      tls: passedOn,
    },
    request: verdict.kind === 'tcp' ? before.request : forwarded(verdict, before.request),
  };
}

function forwarded(
  { request }: Extract<Sent, { kind: 'routed' }>,
  before: CallRequest | undefined,
): CallRequest {
  return { ...request, claims: before?.claims };
}

/** The socket whose match fits the endpoint's metadata, or the cluster's own. */
function socketFor(
  evaluation: Evaluation,
  { cluster }: FoundCluster,
  endpoint: EndpointShare,
): TransportSocket | undefined {
  const labels = endpointMetadata(evaluation, cluster, endpoint);
  const match = cluster.transportSocketMatches.find(({ match: wanted = {} }) =>
    Object.entries(wanted).every(([key, value]) => labels[key] === value),
  );
  return match?.transportSocket ?? cluster.transportSocket;
}

function endpointMetadata(
  { snapshot }: Evaluation,
  cluster: Cluster,
  endpoint: EndpointShare,
): Readonly<Record<string, unknown>> {
  const entry = snapshot.endpoints.get(cluster.edsClusterConfig?.serviceName || cluster.name);
  const assignment = entry === undefined ? cluster.loadAssignment : decodeEndpoints(entry.resource);
  const own = assignment?.endpoints
    .flatMap(({ lbEndpoints }) => lbEndpoints)
    .find((candidate) => isAt(candidate, endpoint));
  return own?.metadata?.filterMetadata[TRANSPORT_SOCKET_MATCH] ?? {};
}

function isAt({ hostIdentifier }: LbEndpoint, { address, port }: EndpointShare): boolean {
  const own = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
  return (
    own?.case === 'socketAddress' && own.value.address === address && own.value.portSpecifier.value === port
  );
}

function upstreamTls(
  evaluation: Evaluation,
  cluster: Cluster | undefined,
  socket: TransportSocket | undefined,
  verdict: Sent,
): ClientTls | undefined {
  const config = socket?.configType.case === 'typedConfig' ? openAny(socket.configType.value) : undefined;
  if (config !== undefined && isMessage(config, ProxyProtocolUpstreamTransportSchema)) {
    return upstreamTls(evaluation, cluster, config.transportSocket, verdict);
  }
  if (config === undefined || !isMessage(config, UpstreamTlsContextSchema)) return undefined;
  const common = config.commonTlsContext;
  const ofMesh = cluster?.metadata?.filterMetadata[ALPN_METADATA[0]]?.[ALPN_METADATA[1]];
  const overridden = verdict.kind === 'routed' && typeof ofMesh === 'string' ? ofMesh.split(',') : undefined;
  const hasCertificate = (common?.tlsCertificateSdsSecretConfigs.length ?? 0) > 0;
  return {
    serverName: config.sni,
    alpn: overridden ?? common?.alpnProtocols ?? [],
    certificate: hasCertificate ? ownCertificate(evaluation) : undefined,
  };
}

/** The workload's certificate: what a secret of another name holds is not known here. */
function ownCertificate({ proxy }: Evaluation): ClientCertificate {
  return { uris: [proxy.spiffeId], dnsNames: [], subject: '', isTrusted: true };
}

function upstreamProtocol(cluster: Cluster | undefined, { connection }: HopCall): CallProtocol {
  const any = cluster?.typedExtensionProtocolOptions[HTTP_OPTIONS];
  const options = any === undefined ? undefined : openAny(any);
  if (options === undefined || !isMessage(options, HttpProtocolOptionsSchema)) return 'http/1.1';
  const { upstreamProtocolOptions: chosen } = options;
  if (chosen.case === 'useDownstreamProtocolConfig') return connection.protocol;
  const isHttp2 =
    chosen.case === 'explicitHttpConfig' && chosen.value.protocolConfig.case === 'http2ProtocolOptions';
  return isHttp2 ? 'http/2' : 'http/1.1';
}
