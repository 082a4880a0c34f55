/**
 * The config of one proxy out of its four sources. Which ProxyConfig object counts for a namespace or a workload (the
 * oldest one that fits) is decided where the objects are known; here they are only laid over each other.
 * Source: istio pilot/pkg/model/proxy_config.go EffectiveProxyConfig.
 */
import { type MeshProxyConfig, type MeshProxyConfigPart, mergeMeshProxyConfig } from './mesh-config.ts';
import type { ProxyConfigSpec } from './proxy-config.ts';

/** Annotation of pods and workloads with a part of the proxies' config in YAML. */
export const PROXY_CONFIG_ANNOTATION = 'proxy.istio.io/config';

/** Where a proxy's settings come from besides mesh config. */
export interface ProxyConfigSources {
  /** ProxyConfig without selector in the root namespace. */
  readonly global?: ProxyConfigSpec;
  /** ProxyConfig without selector in the proxy's namespace, unless that is the root namespace. */
  readonly namespace?: ProxyConfigSpec;
  /** Content of the annotation proxy.istio.io/config. */
  readonly annotation?: MeshProxyConfigPart;
  /** ProxyConfig whose selector fits the workload. */
  readonly workload?: ProxyConfigSpec;
}

/** Merges in rising precedence: mesh default, global, namespace, annotation, workload. */
export function mergeProxyConfig(meshDefault: MeshProxyConfig, sources: ProxyConfigSources): MeshProxyConfig {
  const parts = [
    toPart(sources.global),
    toPart(sources.namespace),
    sources.annotation ?? {},
    toPart(sources.workload),
  ];
  return parts.reduce(mergeMeshProxyConfig<MeshProxyConfig>, meshDefault);
}

function toPart(spec: ProxyConfigSpec | undefined): MeshProxyConfigPart {
  const { concurrency, environmentVariables, image } = spec ?? {};
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(environmentVariables === undefined ? {} : { proxyMetadata: environmentVariables }),
    ...(image === undefined ? {} : { image }),
  };
}
