/**
 * From the node that a client describes itself as to the Proxy that the model knows. Nothing here is believed beyond its
 * shape: whether the caller may be this proxy is ProxyAdmission's business (peer.ts).
 */
import { isIP } from 'node:net';
import { durationMs } from '#api/duration.ts';
import { Findings } from '#api/findings.ts';
import { parseMeshProxyConfig } from '#api/mesh-config.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { InterceptionMode, Locality, NodeTraits, Proxy, ProxyType } from '#model/proxy.ts';
import type { JsonObject, JsonValue, XdsNode } from './node-decoder.ts';

/** A node that is no proxy of ours; the text says why, for the client and the log. */
export interface NodeRefusal {
  readonly kind: 'bad-node-id' | 'unknown-proxy-type' | 'no-address' | 'bad-name';
  readonly text: string;
}

/** The proxy, and what is shown of it but shapes nothing. */
export interface ProxyNode {
  readonly proxy: Proxy;
  readonly userAgent: string;
}

const PROXY_TYPES: readonly ProxyType[] = ['sidecar', 'router', 'waypoint'];
const INTERCEPTION_MODES: readonly InterceptionMode[] = ['REDIRECT', 'TPROXY', 'NONE'];
const MAX_ID_CHARACTERS = 1_024;
const MAX_ADDRESSES = 32;
const MAX_NETWORKS = 64;
const MAX_TEXT_CHARACTERS = 1_024;
/** Names become keys such as `namespace/name`; Kubernetes allows less still. */
const NAME = /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$/;

/**
 * Reads node id and metadata as Istio's proxies send them.
 * Source: istio pilot/pkg/model/context.go ParseServiceNodeWithMetadata, pkg/model/proxy.go NodeMetadata.
 */
export function nodeToProxy(node: XdsNode): Result<ProxyNode, NodeRefusal> {
  const parts = node.id.length > MAX_ID_CHARACTERS ? [] : node.id.split('~');
  const [typeName = '', idAddress = '', qualifiedName = '', domain = ''] = parts;
  if (parts.length !== 4)
    return refuse('bad-node-id', 'the node id is not of the form type~ip~name.namespace~domain');
  const type = PROXY_TYPES.find((known) => known === typeName);
  if (type === undefined)
    return refuse('unknown-proxy-type', `proxy type ${JSON.stringify(typeName.slice(0, 40))} is not served`);
  const { metadata } = node;
  const addresses = readAddresses(metadata['INSTANCE_IPS'], idAddress);
  if (addresses.length === 0)
    return refuse('no-address', 'no valid IP address in the node id or INSTANCE_IPS');
  const dot = qualifiedName.lastIndexOf('.');
  const name = text(metadata['NAME']) || (dot < 0 ? qualifiedName : qualifiedName.slice(0, dot));
  const namespace = text(metadata['NAMESPACE']) || (dot < 0 ? '' : qualifiedName.slice(dot + 1));
  if (!NAME.test(name) || !NAME.test(namespace))
    return refuse('bad-name', 'no valid name and namespace in the node');
  const labels = readTexts(readObject(metadata['LABELS']));
  const generator = metadata['GENERATOR'] === 'grpc' ? 'grpc' : '';
  const proxy: Proxy = {
    // A workload may have an Envoy and a gRPC library, which share the node id but not what they get.
    id: generator === 'grpc' ? `${node.id}~grpc` : node.id,
    type,
    addresses,
    name,
    namespace,
    labels,
    serviceAccount: text(metadata['SERVICE_ACCOUNT']),
    workloadName: text(metadata['WORKLOAD_NAME']) || ownerName(text(metadata['OWNER'])),
    clusterId: text(metadata['CLUSTER_ID']),
    network: text(metadata['NETWORK']),
    networkView: readList(metadata['REQUESTED_NETWORK_VIEW']),
    locality: readLocality(node.locality, labels['istio-locality']),
    nodeName: text(metadata['NODE_NAME']),
    interceptionMode: INTERCEPTION_MODES.find((mode) => mode === metadata['INTERCEPTION_MODE']) ?? 'REDIRECT',
    dnsDomain: domain,
    dnsCapture: isTrue(metadata['DNS_CAPTURE']),
    generator,
    httpProxyPort: readPort(metadata['HTTP_PROXY_PORT']),
    outboundAddress: isIP(text(metadata['OUTBOUND_ADDRESS'])) === 0 ? '' : text(metadata['OUTBOUND_ADDRESS']),
    istioVersion: text(metadata['ISTIO_VERSION']),
    metadata: readTexts(metadata),
    traits: readTraits(node),
    proxyConfig: readProxyConfig(metadata['PROXY_CONFIG']),
  };
  return ok({
    proxy,
    userAgent: node.userAgent.slice(0, 256),
  });
}

function refuse(kind: NodeRefusal['kind'], reason: string): Result<never, NodeRefusal> {
  return fail({ kind, text: reason });
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** Istio sends booleans and numbers in metadata as strings; other clients don't. */
function isTrue(value: JsonValue | undefined): boolean {
  return value === true || value === 'true' || value === '1';
}

function readPort(value: JsonValue | undefined): number {
  const port = typeof value === 'string' && /^[0-9]{1,5}$/.test(value) ? Number(value) : value;
  return typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536 ? port : 0;
}

/** INSTANCE_IPS is a comma-separated string, or a list; the id's address counts when it has none. */
function readAddresses(value: JsonValue | undefined, idAddress: string): readonly string[] {
  const listed = Array.isArray(value) ? value.map(text) : text(value).split(',');
  const valid = listed
    .slice(0, MAX_ADDRESSES)
    .map((address) => address.trim())
    .filter((address) => isIP(address) !== 0);
  if (valid.length > 0) return valid;
  return isIP(idAddress) === 0 ? [] : [idAddress];
}

/** A comma-separated string. */
function readList(value: JsonValue | undefined): readonly string[] {
  return text(value)
    .split(',')
    .slice(0, MAX_NETWORKS)
    .filter((entry) => entry !== '');
}

function readTraits({ metadata, cluster }: XdsNode): NodeTraits {
  const annotations = readObject(metadata['ANNOTATIONS']);
  return {
    http10: isTrue(metadata['HTTP10']),
    idleTimeoutMs: Math.max(0, durationMs(text(metadata['IDLE_TIMEOUT']))),
    exactBalanceInbound: isTrue(metadata['INBOUND_LISTENER_EXACT_BALANCE']),
    exactBalanceOutbound: isTrue(metadata['OUTBOUND_LISTENER_EXACT_BALANCE']),
    unprivileged: isTrue(metadata['UNPRIVILEGED_POD']),
    reservedPorts: [metadata['ENVOY_STATUS_PORT'], metadata['ENVOY_PROMETHEUS_PORT']]
      .map(readPort)
      .filter((port) => port > 0),
    foreign: !isTrue(metadata['LATEEN_ENVIRONMENT']),
    serviceCluster: cluster.slice(0, MAX_TEXT_CHARACTERS),
    spanServiceName: text(annotations['resource.opentelemetry.io/service.name']).slice(
      0,
      MAX_TEXT_CHARACTERS,
    ),
    stdoutIsSocket: isTrue(metadata['LATEEN_STDOUT_IS_SOCKET']),
  };
}

/** What fits the schema; the rest is left out, since nothing here could make use of it. */
function readProxyConfig(value: JsonValue | undefined): Proxy['proxyConfig'] {
  return parseMeshProxyConfig(readObject(value), 'PROXY_CONFIG', new Findings()) ?? {};
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readObject(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : Object.create(null);
}

/** The fields that are texts, and short enough to be matched. */
function readTexts(object: JsonObject): Readonly<Record<string, string>> {
  const texts: Record<string, string> = Object.create(null);
  for (const [key, value] of Object.entries(object))
    if (typeof value === 'string' && value.length <= MAX_TEXT_CHARACTERS) texts[key] = value;
  return texts;
}

/** `kubernetes://apis/apps/v1/namespaces/NS/deployments/NAME` */
function ownerName(owner: string): string {
  return owner.slice(owner.lastIndexOf('/') + 1);
}

/** The label `istio-locality` (region.zone.subzone, or with slashes) counts when the node names none. */
function readLocality(locality: Locality, label: string | undefined): Locality {
  if (locality.region !== '' || label === undefined) return locality;
  const [region = '', zone = '', subzone = ''] = label.split(label.includes('/') ? '/' : '.');
  return { region, zone, subzone };
}
