/**
 * Generated resources as messages: decoded when first looked at, and once per resource, since resources never change.
 * Costs one decoding per resource for as long as the resource is held by somebody.
 */
import { fromBinary, type Message, type Registry } from '@bufbuild/protobuf';
import { type Any, anyUnpack } from '@bufbuild/protobuf/wkt';
import { identityMemo } from '#collections/identity-memo.ts';
import { ClusterSchema, type Cluster } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import {
  type TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from '#proto/envoy/config/core/v3/extension_pb.ts';
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { type Listener, ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { type RouteConfiguration, RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import type { Resource } from '#xds/resource.ts';

export const decodeListener: (resource: Resource) => Listener = identityMemo((resource: Resource) =>
  fromBinary(ListenerSchema, resource.bytes),
);
export const decodeRoutes: (resource: Resource) => RouteConfiguration = identityMemo((resource: Resource) =>
  fromBinary(RouteConfigurationSchema, resource.bytes),
);
export const decodeCluster: (resource: Resource) => Cluster = identityMemo((resource: Resource) =>
  fromBinary(ClusterSchema, resource.bytes),
);
export const decodeEndpoints: (resource: Resource) => ClusterLoadAssignment = identityMemo(
  (resource: Resource) => fromBinary(ClusterLoadAssignmentSchema, resource.bytes),
);
export const decodeExtension: (resource: Resource) => TypedExtensionConfig = identityMemo(
  (resource: Resource) => fromBinary(TypedExtensionConfigSchema, resource.bytes),
);

/** The message inside; undefined for a type that is not Envoy's. */
export const openAny: (any: Any) => Message | undefined = identityMemo((any: Any) =>
  anyUnpack(any, registryOf(envoyRegistry)),
);

/** The registry is large, so it is made when the first message needs it. */
const registryOf = identityMemo((build: () => Registry): Registry => build());
