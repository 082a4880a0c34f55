/**
 * Istio's kinds: names as in Istio's CRDs, decoders by protobuf descriptor. Part of kind-registry.ts.
 * Source of names and versions: istio.io/api kubernetes/customresourcedefinitions.gen.yaml.
 */
import type { DescMessage } from '@bufbuild/protobuf';
import { TrafficExtensionSchema } from '#proto/istio/extensions/v1alpha1/traffic_extension_pb.ts';
import { WasmPluginSchema } from '#proto/istio/extensions/v1alpha1/wasm_pb.ts';
import { DestinationRuleSchema } from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';
import { EnvoyFilterSchema } from '#proto/istio/networking/v1alpha3/envoy_filter_pb.ts';
import { GatewaySchema } from '#proto/istio/networking/v1alpha3/gateway_pb.ts';
import { ServiceEntrySchema } from '#proto/istio/networking/v1alpha3/service_entry_pb.ts';
import { SidecarSchema } from '#proto/istio/networking/v1alpha3/sidecar_pb.ts';
import { VirtualServiceSchema } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { WorkloadEntrySchema } from '#proto/istio/networking/v1alpha3/workload_entry_pb.ts';
import { WorkloadGroupSchema } from '#proto/istio/networking/v1alpha3/workload_group_pb.ts';
import { ProxyConfigSchema } from '#proto/istio/networking/v1beta1/proxy_config_pb.ts';
import { AuthorizationPolicySchema } from '#proto/istio/security/v1beta1/authorization_policy_pb.ts';
import { PeerAuthenticationSchema } from '#proto/istio/security/v1beta1/peer_authentication_pb.ts';
import { RequestAuthenticationSchema } from '#proto/istio/security/v1beta1/request_authentication_pb.ts';
import { TelemetrySchema } from '#proto/istio/telemetry/v1alpha1/telemetry_pb.ts';
import { validateAuthorizationPolicy } from './authorization-policy.ts';
import { validateDestinationRule } from './destination-rule.ts';
import { validateEnvoyFilter } from './envoy-filter.ts';
import { validateGateway } from './gateway.ts';
import { type JsonObject, readObject } from './json-scalar.ts';
import type { KindInfo } from './kind-registry.ts';
import { validatePeerAuthentication } from './peer-authentication.ts';
import { validateProxyConfig } from './proxy-config.ts';
import { validateRequestAuthentication } from './request-authentication.ts';
import { messageDecoder } from './schema-decode.ts';
import { validateServiceEntry } from './service-entry.ts';
import { reportUnknown } from './shape-decode.ts';
import { validateSidecar } from './sidecar.ts';
import { validateTelemetry } from './telemetry.ts';
import { validateTrafficExtension } from './traffic-extension.ts';
import { validateVirtualService } from './virtual-service.ts';
import { validateWasmPlugin } from './wasm-plugin.ts';
import { validateWorkloadEntry } from './workload-entry.ts';
import { validateWorkloadGroup } from './workload-group.ts';

const ROOT_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata', 'spec', 'status']);
const NETWORKING_VERSIONS: readonly string[] = ['v1', 'v1beta1', 'v1alpha3'];
const SECURITY_VERSIONS: readonly string[] = ['v1', 'v1beta1'];

type IstioRow = Pick<KindInfo, 'kind' | 'group' | 'versions' | 'plural' | 'validate'> & {
  readonly schema: DescMessage;
  readonly shortNames?: readonly string[];
};

function istioKind(row: IstioRow): KindInfo {
  const decodeSpec = messageDecoder(row.schema);
  const { schema: _schema, ...names } = row;
  return {
    singular: row.kind.toLowerCase(),
    shortNames: [],
    namespaced: true,
    ...names,
    decode(root, findings) {
      reportUnknown(Object.keys(root), ROOT_FIELDS, '', findings);
      const spec = root['spec'] ?? {};
      return readObject(spec, 'spec', findings) && decodeSpec(spec, 'spec', findings);
    },
    encode: (spec) => ({ spec }) as JsonObject,
  };
}

function networking(
  kind: string,
  plural: string,
  shortNames: readonly string[],
  schema: DescMessage,
  validate: KindInfo['validate'],
): KindInfo {
  const group = 'networking.istio.io';
  return istioKind({ kind, group, versions: NETWORKING_VERSIONS, plural, shortNames, schema, validate });
}

function security(
  kind: string,
  plural: string,
  shortNames: readonly string[],
  schema: DescMessage,
  validate: KindInfo['validate'],
): KindInfo {
  const group = 'security.istio.io';
  return istioKind({ kind, group, versions: SECURITY_VERSIONS, plural, shortNames, schema, validate });
}

/** Istio's kinds, one row each. */
export const ISTIO_KINDS: readonly KindInfo[] = [
  networking('VirtualService', 'virtualservices', ['vs'], VirtualServiceSchema, validateVirtualService),
  networking('DestinationRule', 'destinationrules', ['dr'], DestinationRuleSchema, validateDestinationRule),
  networking('Gateway', 'gateways', ['gw'], GatewaySchema, validateGateway),
  networking('ServiceEntry', 'serviceentries', ['se'], ServiceEntrySchema, validateServiceEntry),
  networking('WorkloadEntry', 'workloadentries', ['we'], WorkloadEntrySchema, validateWorkloadEntry),
  networking('WorkloadGroup', 'workloadgroups', ['wg'], WorkloadGroupSchema, validateWorkloadGroup),
  networking('Sidecar', 'sidecars', [], SidecarSchema, validateSidecar),
  istioKind({
    kind: 'EnvoyFilter',
    group: 'networking.istio.io',
    versions: ['v1alpha3'],
    plural: 'envoyfilters',
    schema: EnvoyFilterSchema,
    validate: validateEnvoyFilter,
  }),
  istioKind({
    kind: 'ProxyConfig',
    group: 'networking.istio.io',
    versions: ['v1beta1'],
    plural: 'proxyconfigs',
    schema: ProxyConfigSchema,
    validate: validateProxyConfig,
  }),
  security(
    'PeerAuthentication',
    'peerauthentications',
    ['pa'],
    PeerAuthenticationSchema,
    validatePeerAuthentication,
  ),
  security(
    'RequestAuthentication',
    'requestauthentications',
    ['ra'],
    RequestAuthenticationSchema,
    validateRequestAuthentication,
  ),
  security(
    'AuthorizationPolicy',
    'authorizationpolicies',
    ['ap'],
    AuthorizationPolicySchema,
    validateAuthorizationPolicy,
  ),
  istioKind({
    kind: 'Telemetry',
    group: 'telemetry.istio.io',
    versions: ['v1', 'v1alpha1'],
    plural: 'telemetries',
    schema: TelemetrySchema,
    validate: validateTelemetry,
  }),
  istioKind({
    kind: 'WasmPlugin',
    group: 'extensions.istio.io',
    versions: ['v1alpha1'],
    plural: 'wasmplugins',
    schema: WasmPluginSchema,
    validate: validateWasmPlugin,
  }),
  istioKind({
    kind: 'TrafficExtension',
    group: 'extensions.istio.io',
    versions: ['v1alpha1'],
    plural: 'trafficextensions',
    schema: TrafficExtensionSchema,
    validate: validateTrafficExtension,
  }),
];
