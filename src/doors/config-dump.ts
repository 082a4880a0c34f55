/**
 * What a proxy should hold, in the form of Envoy's own config_dump, so that tools can compare the two. Secrets are
 * named, never printed; what of other resources is sensitive is redacted. Loading all of Envoy's types takes memory and half a second, so that happens at the first call.
 * Source: envoy.admin.v3.ConfigDump; istio pilot/pkg/xds/debug.go config_dump.
 */
import { type DescMessage, fromBinary, type Registry, toJson } from '@bufbuild/protobuf';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { ClusterLoadAssignmentSchema } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { NameTableSchema } from '#proto/istio/networking/nds/v1/nds_pb.ts';
import { loadEnvoyRegistry } from '#proto/registry-later.gen.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { redact } from './redaction.ts';

const ADMIN = 'type.googleapis.com/envoy.admin.v3';

/** The dump of one snapshot as plain JSON. */
export function configDump(snapshot: ProxySnapshot): object {
  const registry = loadEnvoyRegistry();
  const dump = (schema: DescMessage, entries: Iterable<ResourceEntry>): [string, unknown][] =>
    Array.from(entries, ({ resource }) => [resource.version, decoded(schema, resource.bytes, registry)]);
  const clusters = dump(ClusterSchema, snapshot.clusters.values());
  const listeners = dump(ListenerSchema, snapshot.listeners.values());
  const routes = dump(RouteConfigurationSchema, snapshot.routes.values());
  const endpoints = dump(ClusterLoadAssignmentSchema, snapshot.endpoints.values());
  return {
    configs: [
      {
        '@type': `${ADMIN}.ClustersConfigDump`,
        dynamic_active_clusters: clusters.map(([version_info, cluster]) => ({ version_info, cluster })),
      },
      {
        '@type': `${ADMIN}.ListenersConfigDump`,
        dynamic_listeners: listeners.map(([version_info, listener]) => ({
          active_state: { version_info, listener },
        })),
      },
      {
        '@type': `${ADMIN}.RoutesConfigDump`,
        dynamic_route_configs: routes.map(([version_info, route_config]) => ({ version_info, route_config })),
      },
      {
        '@type': `${ADMIN}.EndpointsConfigDump`,
        dynamic_endpoint_configs: endpoints.map(([version_info, endpoint_config]) => ({
          version_info,
          endpoint_config,
        })),
      },
      {
        '@type': `${ADMIN}.SecretsConfigDump`,
        dynamic_active_secrets: [...snapshot.secrets.keys()].map((name) => ({ name })),
      },
    ],
  };
}

/** The resources of one type alone. */
export function partialDump(snapshot: ProxySnapshot, part: keyof typeof PARTS): object {
  const registry = loadEnvoyRegistry();
  const entries = [...snapshot[part].values()];
  return { configs: entries.map(({ resource }) => decoded(PARTS[part], resource.bytes, registry)) };
}

const PARTS = {
  endpoints: ClusterLoadAssignmentSchema,
  nameTable: NameTableSchema,
  extensions: TypedExtensionConfigSchema,
} as const;

function decoded(schema: DescMessage, bytes: Uint8Array, registry: Registry): unknown {
  const message = fromBinary(schema, bytes);
  redact(schema, message, registry);
  const json: unknown = toJson(schema, message, { registry, useProtoFieldName: true });
  return { '@type': `type.googleapis.com/${schema.typeName}`, ...(json as object) };
}
