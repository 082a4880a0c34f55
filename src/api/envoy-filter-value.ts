/**
 * Patch values of EnvoyFilters as the Envoy messages that they become. Read leniently, as an EnvoyFilter may be meant for
 * another version of Envoy: unknown fields are warnings and left out, unknown types and wrong values are errors.
 * The first call loads Envoy's types (registry-later.gen.ts). Source: istio pkg/config/xds/xds.go, whose durations may
 * be written as Go's ("500ms") too.
 */
import { type DescMessage, fromJson, type JsonValue, type Message, type Registry } from '@bufbuild/protobuf';
import type { EnvoyFilter_ApplyToJson } from '#proto/istio/networking/v1alpha3/envoy_filter_pb.ts';
import { loadEnvoyRegistry } from '#proto/registry-later.gen.ts';
import { type Findings, show } from './findings.ts';
import { messageDecoder } from './schema-decode.ts';

/** The message that a patch value is, by applyTo. */
const VALUE_TYPES: ReadonlyMap<EnvoyFilter_ApplyToJson, string> = new Map([
  ['CLUSTER', 'envoy.config.cluster.v3.Cluster'],
  ['LISTENER', 'envoy.config.listener.v3.Listener'],
  ['FILTER_CHAIN', 'envoy.config.listener.v3.FilterChain'],
  ['LISTENER_FILTER', 'envoy.config.listener.v3.ListenerFilter'],
  ['NETWORK_FILTER', 'envoy.config.listener.v3.Filter'],
  ['HTTP_FILTER', 'envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter'],
  ['ROUTE_CONFIGURATION', 'envoy.config.route.v3.RouteConfiguration'],
  ['VIRTUAL_HOST', 'envoy.config.route.v3.VirtualHost'],
  ['HTTP_ROUTE', 'envoy.config.route.v3.Route'],
  ['EXTENSION_CONFIG', 'envoy.config.core.v3.TypedExtensionConfig'],
  ['BOOTSTRAP', 'envoy.config.bootstrap.v3.Bootstrap'],
]);

/** A patch value as a message of the type `desc`. */
export interface PatchValue {
  readonly desc: DescMessage;
  readonly message: Message;
}

/** The value as a message; undefined when a finding says why not. Cost: one pass, bounded in depth and number of values. */
export function decodePatchValue(
  applyTo: EnvoyFilter_ApplyToJson,
  value: unknown,
  path: string,
  findings: Findings,
): PatchValue | undefined {
  const registry = loadEnvoyRegistry();
  const desc = registry.getMessage(VALUE_TYPES.get(applyTo) ?? '');
  if (desc === undefined) return undefined;
  const errorsBefore = countErrors(findings);
  const json = messageDecoder(desc, { registry, unknownField: 'LTN2603' })(value, path, findings);
  if (json === undefined || countErrors(findings) > errorsBefore) return undefined;
  return readMessage(desc, json as JsonValue, registry, path, findings);
}

/** What passed the decoder can fail here only where protobuf is stricter still, such as a duration of 10,000 years. */
function readMessage(
  desc: DescMessage,
  json: JsonValue,
  registry: Registry,
  path: string,
  findings: Findings,
): PatchValue | undefined {
  try {
    return { desc, message: fromJson(desc, json, { registry }) };
  } catch (error) {
    findings.add('LTN1003', path, { expected: desc.name, found: show(String((error as Error).message)) });
    return undefined;
  }
}

function countErrors(findings: Findings): number {
  return findings.all.filter(({ severity }) => severity === 'error').length;
}
