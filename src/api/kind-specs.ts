/**
 * The type of MeshObject.spec for each kind, so that a kind's name is enough to get typed objects.
 */
import type { AuthorizationPolicySpec } from './authorization-policy.ts';
import type { ConfigMapSpec } from './config-map.ts';
import type { DestinationRuleSpec } from './destination-rule.ts';
import type { EndpointSliceSpec } from './endpoint-slice.ts';
import type { EndpointsSpec } from './endpoints.ts';
import type { EnvoyFilterSpec } from './envoy-filter.ts';
import type { GatewaySpec } from './gateway.ts';
import type { LocalWorkloadSpec } from './local-workload.ts';
import type { NamespaceSpec } from './namespace.ts';
import type { NodeSpec } from './node.ts';
import type { PeerAuthenticationSpec } from './peer-authentication.ts';
import type { PodSpec } from './pod.ts';
import type { ProxyConfigSpec } from './proxy-config.ts';
import type { ReferenceGrantSpec } from './reference-grant.ts';
import type { RequestAuthenticationSpec } from './request-authentication.ts';
import type { SecretSpec } from './secret.ts';
import type { ServiceSpec } from './service.ts';
import type { ServiceAccountSpec } from './service-account.ts';
import type { ServiceEntrySpec } from './service-entry.ts';
import type { SidecarSpec } from './sidecar.ts';
import type { TelemetrySpec } from './telemetry.ts';
import type { TrafficExtensionSpec } from './traffic-extension.ts';
import type { VirtualServiceSpec } from './virtual-service.ts';
import type { WasmPluginSpec } from './wasm-plugin.ts';
import type { WorkloadEntrySpec } from './workload-entry.ts';
import type { WorkloadGroupSpec } from './workload-group.ts';

/** Spec types by kind. */
export interface KindSpecs {
  readonly VirtualService: VirtualServiceSpec;
  readonly DestinationRule: DestinationRuleSpec;
  readonly Gateway: GatewaySpec;
  readonly ServiceEntry: ServiceEntrySpec;
  readonly WorkloadEntry: WorkloadEntrySpec;
  readonly WorkloadGroup: WorkloadGroupSpec;
  readonly Sidecar: SidecarSpec;
  readonly EnvoyFilter: EnvoyFilterSpec;
  readonly ProxyConfig: ProxyConfigSpec;
  readonly PeerAuthentication: PeerAuthenticationSpec;
  readonly RequestAuthentication: RequestAuthenticationSpec;
  readonly AuthorizationPolicy: AuthorizationPolicySpec;
  readonly Telemetry: TelemetrySpec;
  readonly WasmPlugin: WasmPluginSpec;
  readonly TrafficExtension: TrafficExtensionSpec;
  readonly Service: ServiceSpec;
  readonly EndpointSlice: EndpointSliceSpec;
  readonly Endpoints: EndpointsSpec;
  readonly Pod: PodSpec;
  readonly Node: NodeSpec;
  readonly Namespace: NamespaceSpec;
  readonly Secret: SecretSpec;
  readonly ConfigMap: ConfigMapSpec;
  readonly ServiceAccount: ServiceAccountSpec;
  readonly ReferenceGrant: ReferenceGrantSpec;
  readonly LocalWorkload: LocalWorkloadSpec;
}
