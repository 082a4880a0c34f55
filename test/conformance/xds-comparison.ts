/**
 * Brings expected and generated Envoy resources into one form, and counts what is left out on the way. The list of what is
 * left out is here, each entry with the words under which it is counted; ../shared/conformance/xds/README.md permits them.
 */
import { type DescMessage, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { isPlain, sortedJson } from './difference.ts';
import type { CaseContext } from './suite.ts';

type Plain = Readonly<Record<string, unknown>>;
type Ignored = readonly [what: string, test: (name: string, value: Plain) => boolean];

/** Members of lists (filters, access loggers) that one side has for its own telemetry. */
const LIST_MEMBERS: readonly Ignored[] = [
  [
    'virtual hosts that answer 421 on a TLS server',
    (name, value) => name.startsWith('misdirected:') && 'domains' in value,
  ],
  [
    "filters of upstream's own Envoy build",
    (name) => /^(istio\.(metadata_exchange|stats|alpn)|waypoint_(up|down)stream_peer_metadata)$/.test(name),
  ],
  [
    'grpc_stats and mongo_proxy',
    (name) => /^envoy\.filters\.(http\.grpc_stats|network\.mongo_proxy)$/.test(name),
  ],
  ['access loggers of type stats', (name) => name === 'envoy.access_loggers.stats'],
  ['set_filter_state of our own keys', (name, value) => isOwnFilterState(name, value)],
  ['header mutations of peer facts', (name, value) => isOwnHeaderMutation(name, value)],
];
/** Those whose types stock Envoy does not know. */
const FOREIGN = LIST_MEMBERS.slice(1, 3);
const OWN_STATE = /^(istio\.|lateen\.|envoy\.network\.application_protocols$)/;
const OWN_HEADER = /^(x-envoy-peer-metadata|x-lateen-|baggage$)/;
/** Fields by name, in both spellings. */
const FIELDS: ReadonlyMap<string, string> = new Map([
  ['statPrefix', 'stat_prefix'],
  ['altStatName', 'alt_stat_name'],
  ['decorator', 'decorators'],
  ['trafficDirection', 'traffic_direction'],
  ['transportSocketConnectTimeout', 'transport_socket_connect_timeout'],
  ['typedDnsResolverConfig', 'typed_dns_resolver_config'],
  ['maxGrpcTimeout', 'max_grpc_timeout'],
  ['environmentVariables', 'environment variables of Wasm plugins'],
]);

/** An expected resource (proto JSON, either spelling) as the generated one is written. */
export function normalExpected(schema: DescMessage, json: unknown, context: CaseContext): Plain {
  // Extension configurations are written as Any has them.
  const { '@type': _type, ...known } = withoutForeign(json, context) as { readonly [key: string]: JsonValue };
  const registry = envoyRegistry();
  return normal(toJson(schema, fromJson(schema, known, { registry }), { registry }), context) as Plain;
}

/** Types that stock Envoy does not have cannot be read as messages, so they go first. */
function withoutForeign(value: unknown, context: CaseContext): unknown {
  if (Array.isArray(value)) {
    return value
      .filter((item) => !isLeftOut(item, context, FOREIGN))
      .map((item) => withoutForeign(item, context));
  }
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withoutForeign(part, context)]));
}

/** A resource without what is ignored. */
export function normal(value: unknown, context: CaseContext): unknown {
  if (Array.isArray(value)) {
    return value
      .filter((item) => !isLeftOut(item, context, LIST_MEMBERS))
      .map((item) => normal(item, context));
  }
  if (!isPlain(value)) return value;
  const kept: Record<string, unknown> = {};
  for (const [key, part] of Object.entries(value)) {
    const what = FIELDS.get(key);
    if (what !== undefined) {
      context.ignore(what);
      continue;
    }
    // An empty message is what Envoy takes when there is none.
    if (key === 'httpProtocolOptions' && 'httpFilters' in value && sortedJson(part) === '{}') {
      context.ignore('empty http_protocol_options of a connection manager');
      continue;
    }
    if (key === 'shadowRulesStatPrefix' && value['shadowRules'] === undefined) {
      context.ignore('shadow_rules_stat_prefix without shadow rules');
      continue;
    }
    const member = normalField(key, part, context);
    if (member !== undefined) kept[key] = member;
  }
  return kept;
}

function normalField(key: string, part: unknown, context: CaseContext): unknown {
  if (key === 'filterMetadata' && isPlain(part)) {
    const { istio: _istio, lateen: _lateen, ...rest } = part;
    if (Object.keys(rest).length < Object.keys(part).length)
      context.ignore('filter_metadata of istio and lateen');
    return Object.keys(rest).length === 0 ? undefined : normal(rest, context);
  }
  if (key === 'localJwks' && isPlaceholder(part)) {
    context.ignore('value of a key set that stands for no keys (a jwksUri without network, an empty set)');
    return '(placeholder)';
  }
  if (key === 'alpnProtocols' && Array.isArray(part)) return normalAlpn(part.map(String), context);
  const own = normal(part, context);
  // What held nothing but ignored things is as if it were not there.
  const isEmptied = sortedJson(part) !== sortedJson(own) && /^(\{\}|\[\])$/.test(sortedJson(own));
  return isEmptied ? undefined : own;
}

/** No keys: an empty set, which stock Envoy refuses, or what stands for it, one RSA key that nobody has, without any name. */
function isPlaceholder(localJwks: unknown): boolean {
  const text = isPlain(localJwks) ? localJwks['inlineString'] : undefined;
  const [key, ...others] = (JSON.parse(String(text)) as { keys: readonly object[] }).keys;
  if (key === undefined) return true;
  return others.length === 0 && Object.keys(key).sort().join() === 'e,kty,n';
}

/** The first name offers a protocol of upstream's own build; of the others that are ours any name will do. */
function normalAlpn(names: readonly string[], context: CaseContext): readonly string[] {
  const rest = names.filter((name) => name !== 'istio-peer-exchange');
  if (rest.length < names.length) context.ignore('ALPN istio-peer-exchange');
  if (!rest.some((name) => /^(istio|lateen)/.test(name))) return rest;
  context.ignore('names of mesh ALPN');
  return ['(mesh)'];
}

function isLeftOut(item: unknown, context: CaseContext, list: readonly Ignored[]): boolean {
  if (!isPlain(item)) return false;
  const header = item['header'];
  if (isPlain(header) && OWN_HEADER.test(String(header['key']))) {
    context.ignore('headers of peer facts');
    return true;
  }
  const name = item['name'];
  if (typeof name !== 'string') return false;
  const hit = list.find(([, test]) => test(name, item));
  if (hit !== undefined) context.ignore(hit[0]);
  return hit !== undefined;
}

function isOwnFilterState(name: string, value: Plain): boolean {
  if (!name.includes('set_filter_state') && !name.startsWith('lateen.')) return false;
  const keys = [...sortedJson(value).matchAll(/"objectKey":"([^"]*)"/g)].map((match) => match[1] ?? '');
  return keys.length > 0 && keys.every((key) => OWN_STATE.test(key));
}

function isOwnHeaderMutation(name: string, value: Plain): boolean {
  if (!name.includes('header_mutation') && !name.startsWith('lateen.')) return false;
  const text = sortedJson(value);
  const keys = [...text.matchAll(/"(?:key|remove|prefix)":"([^"]*)"/g)].map((match) => match[1] ?? '');
  return keys.length > 0 && keys.every((key) => OWN_HEADER.test(key));
}
