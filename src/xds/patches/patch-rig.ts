/** For tests: messages and patches as JSON, and what becomes of the one under the others. */
import {
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  toJson,
} from '@bufbuild/protobuf';
import { decodeObject } from '#api/decode-object.ts';
import type { EnvoyFilterSpec } from '#api/envoy-filter.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { compileEnvoyFilter } from '#model/envoy-filter.ts';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { loadEnvoyRegistry } from '#proto/registry-later.gen.ts';
import { encodeResource } from '#xds/encode.ts';
import type { Resource } from '#xds/resource.ts';
import type { PatchList } from './patch-list.ts';
import { clusterPatcher, listenerPatcher, type PatchedResource } from './patched-resource.ts';
import { RouteTablePatcher } from './route-table-patcher.ts';
import { meansSidecarRoutes } from './route-match.ts';

export type Json = Readonly<Record<string, unknown>>;

const HCM =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** An EnvoyFilter with these configPatches. Throws for what the decoder refuses. */
export function envoyFilter(configPatches: readonly Json[]): MeshObject<EnvoyFilterSpec> {
  const document = {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'e', namespace: 'default' },
    spec: { configPatches },
  };
  const { object, diagnostics } = decodeObject(document, { defaultNamespace: 'default' });
  if (object === undefined) throw new Error(diagnostics.map(printDiagnostic).join('\n'));
  return object as MeshObject<EnvoyFilterSpec>;
}

/** The patches as one list. */
export function patchList(configPatches: readonly Json[]): PatchList {
  const { patches } = compileEnvoyFilter(envoyFilter(configPatches));
  return { key: patches.map(({ patch }) => patch.id).join(' '), patches: patches.map(({ patch }) => patch) };
}

/** A message of that type from JSON with snake_case or lowerCamel names. */
export function message<D extends DescMessage>(schema: D, json: Json) {
  return fromJson(schema, json as JsonValue, { registry: loadEnvoyRegistry() });
}

/** JSON of a message. */
export function plain(schema: DescMessage, value: Message): Json {
  return toJson(schema, value, { registry: loadEnvoyRegistry() }) as Json;
}

/** What became of a resource: its JSON (undefined when removed) and the positions of the patches that changed it. */
export interface Patched {
  readonly json: Json | undefined;
  readonly applied: readonly number[];
  readonly result: PatchedResource;
}

const SCHEMAS = {
  cluster: ClusterSchema,
  listener: ListenerSchema,
  routes: RouteConfigurationSchema,
} as const;

/** Encodes a resource, patches it, decodes it. */
export function patch(kind: keyof typeof SCHEMAS, json: Json, configPatches: readonly Json[]): Patched {
  const schema: DescMessage = SCHEMAS[kind];
  const list = patchList(configPatches);
  const base = resourceOf(kind, json);
  const result =
    kind === 'routes'
      ? new RouteTablePatcher().patch('test', base, list, meansSidecarRoutes)
      : (kind === 'cluster' ? clusterPatcher() : listenerPatcher())(base, list);
  const { resource, applied } = result;
  const patched = resource && plain(schema, fromBinary(schema, resource.bytes));
  return { json: patched, applied, result };
}

export function resourceOf(kind: keyof typeof SCHEMAS, json: Json): Resource {
  const schema: DescMessage = SCHEMAS[kind];
  return encodeResource(schema, message(schema, json), 'test', String(json['name']));
}

/** A network filter with a connection manager that has these HTTP filters. */
export function httpManager(filters: readonly Json[], rest: Json = {}): Json {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typedConfig: { '@type': HCM, httpFilters: filters, ...rest },
  };
}
