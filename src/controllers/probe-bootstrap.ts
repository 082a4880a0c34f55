/**
 * The smallest bootstrap that holds given resources, for asking a spare Envoy whether it takes them, without users' code. The values that a
 * verdict may depend on (limit of regular expressions, clusters that secrets and ADS are fetched from) are those of the
 * bootstrap that agents write.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { BootstrapSchema } from '#proto/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import {
  type Cluster,
  Cluster_DiscoveryType,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import {
  ApiConfigSource_ApiType as ApiType,
  ApiVersion,
} from '#proto/envoy/config/core/v3/config_source_pb.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { ClusterLoadAssignmentSchema } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { type RouteConfiguration, RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { RouterSchema } from '#proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { HttpConnectionManagerSchema } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { withoutUserCode } from './probe-code.ts';

/** An encoded resource as proxies get it. */
export interface ProbeResource {
  readonly typeUrl: string;
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Equal versions mean equal bytes. */
  readonly version: string;
}

/** Envoy's limit for the size of a compiled regular expression, as in the agent's bootstrap. */
export const MAX_REGEX_PROGRAM_SIZE = 32_768;

const RUNTIME = {
  're2.max_program_size.error_level': String(MAX_REGEX_PROGRAM_SIZE),
  'envoy.reloadable_features.http_reject_path_with_fragment': false,
};
/** Static clusters of the agent's bootstrap that generated resources refer to. */
const STATIC_CLUSTERS: readonly string[] = ['xds-grpc', 'sds-grpc'];
const MESSAGE_PREFIX = 'type.googleapis.com/envoy.config.';

type StaticResources = { readonly clusters: Cluster[]; readonly listeners: Listener[] };

/** True for resources that can be asked about. */
export function canProbe({ typeUrl }: Pick<ProbeResource, 'typeUrl'>): boolean {
  return PARTS.has(typeUrl);
}

/** The bootstrap with all these resources in it, encoded; what can't be asked about is left out. */
export function probeBootstrap(resources: readonly ProbeResource[]): Uint8Array {
  const parts: StaticResources = { clusters: STATIC_CLUSTERS.map(staticCluster), listeners: [] };
  for (const resource of resources) PARTS.get(resource.typeUrl)?.(resource, parts);
  const bootstrap = create(BootstrapSchema, {
    node: { id: 'oracle', cluster: 'oracle' },
    layeredRuntime: { layers: [{ name: 'static', layerSpecifier: { case: 'staticLayer', value: RUNTIME } }] },
    dynamicResources: {
      adsConfig: {
        apiType: ApiType.DELTA_GRPC,
        transportApiVersion: ApiVersion.V3,
        grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: 'xds-grpc' } } }],
      },
    },
    staticResources: parts,
  });
  return toBinary(BootstrapSchema, withoutUserCode(BootstrapSchema, bootstrap));
}

/** Where a resource of each type stands in a static configuration. */
const PARTS: ReadonlyMap<string, (resource: ProbeResource, parts: StaticResources) => void> = new Map([
  [`${MESSAGE_PREFIX}cluster.v3.Cluster`, addCluster],
  [`${MESSAGE_PREFIX}endpoint.v3.ClusterLoadAssignment`, addEndpoints],
  [`${MESSAGE_PREFIX}listener.v3.Listener`, addListener],
  [`${MESSAGE_PREFIX}route.v3.RouteConfiguration`, addRoutes],
  [`${MESSAGE_PREFIX}core.v3.TypedExtensionConfig`, addExtension],
]);

function addCluster({ bytes }: ProbeResource, parts: StaticResources): void {
  parts.clusters.push(fromBinary(ClusterSchema, bytes));
}

function addListener({ bytes }: ProbeResource, parts: StaticResources): void {
  parts.listeners.push(fromBinary(ListenerSchema, bytes));
}

/** Endpoints as those of a static cluster, whose rules are the same. */
function addEndpoints({ name, bytes }: ProbeResource, parts: StaticResources): void {
  const loadAssignment = fromBinary(ClusterLoadAssignmentSchema, bytes);
  parts.clusters.push(create(ClusterSchema, { ...clusterHead(`endpoints of ${name}`), loadAssignment }));
}

/** A route table in a listener of its own. */
function addRoutes({ name, bytes }: ProbeResource, parts: StaticResources): void {
  const routes = fromBinary(RouteConfigurationSchema, bytes);
  addFilters(`routes of ${name}`, [httpManager(routes, [])], parts);
}

/** A filter's configuration in the place where it would be asked for. */
function addExtension({ name, bytes }: ProbeResource, parts: StaticResources): void {
  const { typedConfig } = fromBinary(TypedExtensionConfigSchema, bytes);
  if (typedConfig === undefined) return;
  const filter = { name, configType: { case: 'typedConfig', value: typedConfig } } as const;
  const isNetwork = typedConfig.typeUrl.includes('.filters.network.');
  const manager = httpManager(create(RouteConfigurationSchema), isNetwork ? [] : [filter]);
  addFilters(`extension ${name}`, isNetwork ? [filter, manager] : [manager], parts);
}

type HttpFilterInit = NonNullable<
  MessageInitShape<typeof HttpConnectionManagerSchema>['httpFilters']
>[number];
type FilterInit = MessageInitShape<typeof FilterSchema>;

function httpManager(routes: RouteConfiguration, filters: readonly HttpFilterInit[]): FilterInit {
  const router = anyPack(RouterSchema, create(RouterSchema));
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: 'probe',
    routeSpecifier: { case: 'routeConfig', value: routes },
    httpFilters: [...filters, { name: 'router', configType: { case: 'typedConfig', value: router } }],
  });
  const typedConfig = anyPack(HttpConnectionManagerSchema, manager);
  return { name: 'http', configType: { case: 'typedConfig', value: typedConfig } };
}

function addFilters(name: string, filters: FilterInit[], parts: StaticResources): void {
  const port = parts.listeners.length + 1;
  parts.listeners.push(
    create(ListenerSchema, {
      name,
      address: {
        address: {
          case: 'socketAddress',
          value: { address: '127.0.0.1', portSpecifier: { case: 'portValue', value: port } },
        },
      },
      bindToPort: false,
      filterChains: [{ filters }],
    }),
  );
}

function staticCluster(name: string): Cluster {
  return create(ClusterSchema, clusterHead(name));
}

function clusterHead(name: string): MessageInitShape<typeof ClusterSchema> {
  return {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: { seconds: 1n },
  };
}
