/**
 * DestinationRule: traffic policy and subsets of one host.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  ClientTLSSettingsJson,
  ConnectionPoolSettingsJson,
  DestinationRuleJson,
  LoadBalancerSettingsJson,
  LocalityLoadBalancerSettingJson,
  OutlierDetectionJson,
  SubsetJson,
  TrafficPolicyJson,
  TrafficPolicy_PortTrafficPolicyJson,
} from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';
import { checkExportTo, checkMatchLabels, checkSelectorLabels } from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { wildcardHostProblem } from './host-rules.ts';
import type { MeshObject } from './mesh-object.ts';
import { checkSubsetName } from './tcp-route-rules.ts';
import { checkTrafficPolicy } from './traffic-policy-rules.ts';

/** spec of a DestinationRule. */
export type DestinationRuleSpec = DestinationRuleJson;
/** Policy of a host, a subset, or (PortTrafficPolicy) one port of either. */
export type TrafficPolicy = TrafficPolicyJson;
/** Policy of one port; it replaces that of the host for this port. */
export type PortTrafficPolicy = TrafficPolicy_PortTrafficPolicyJson;
/** A named set of endpoints by labels. */
export type Subset = SubsetJson;
/** How an endpoint is chosen. */
export type LoadBalancerSettings = LoadBalancerSettingsJson;
/** How traffic is spread over regions and zones. */
export type LocalityLoadBalancerSetting = LocalityLoadBalancerSettingJson;
/** Limits and timeouts of connections and requests. */
export type ConnectionPoolSettings = ConnectionPoolSettingsJson;
/** When an endpoint that fails is taken out. */
export type OutlierDetection = OutlierDetectionJson;
/** TLS towards the destination. */
export type ClientTlsSettings = ClientTLSSettingsJson;

/** Findings about a DestinationRule beyond its schema. Source: istio pkg/config/validation ValidateDestinationRule. */
export function validateDestinationRule(object: MeshObject<DestinationRuleSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { spec, namespace } = object;
  const problem = wildcardHostProblem(spec.host ?? '');
  if ((spec.host ?? '') === '') findings.missing('spec', 'host', 'host: reviews');
  else if (problem !== '') findings.add('LTN2001', 'spec.host', { host: show(spec.host), problem });
  checkTrafficPolicy(spec.trafficPolicy, namespace, 'spec.trafficPolicy', findings);
  const names = new Set<string>();
  for (const [index, subset] of (spec.subsets ?? []).entries()) {
    const path = `spec.subsets[${index}]`;
    const name = subset.name ?? '';
    if (name === '') findings.missing(path, 'name', 'name: v1');
    else checkSubsetName(name, `${path}.name`, findings);
    if (names.has(name))
      findings.add('LTN2014', `${path}.name`, { what: 'the subset name', value: show(name) });
    names.add(name);
    checkMatchLabels(subset.labels, `${path}.labels`, findings);
    checkTrafficPolicy(subset.trafficPolicy, namespace, `${path}.trafficPolicy`, findings);
  }
  const ownNamespaceOnly = spec.workloadSelector !== undefined;
  checkExportTo(spec.exportTo, { namespace, ownNamespaceOnly }, 'spec.exportTo', findings);
  if (spec.workloadSelector !== undefined) {
    checkSelectorLabels(spec.workloadSelector.matchLabels, 'spec.workloadSelector', findings);
  }
  return findings.all;
}
