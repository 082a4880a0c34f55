/**
 * ProxyConfig (the kind): proxy settings for a namespace or for selected workloads.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type { ProxyConfigJson } from '#proto/istio/networking/v1beta1/proxy_config_pb.ts';
import { checkNotNegative, checkSelectorLabels } from './field-rules.ts';
import { Findings } from './findings.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of a ProxyConfig object; mesh config's defaultConfig is another, larger type (mesh-config.ts). */
export type ProxyConfigSpec = ProxyConfigJson;

/** Findings about a ProxyConfig beyond its schema. Source: istio pkg/config/validation ValidateProxyConfig. */
export function validateProxyConfig(object: MeshObject<ProxyConfigSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { selector, concurrency } = object.spec;
  if (selector !== undefined) checkSelectorLabels(selector.matchLabels, 'spec.selector', findings);
  checkNotNegative(concurrency, 'spec.concurrency', findings);
  return findings.all;
}
