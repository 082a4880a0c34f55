/**
 * What config a workload's proxy is started with: mesh config's defaultConfig, the ProxyConfig objects that apply, and the workload's
 * own annotation, one over the other. Used by whoever starts proxies (the mesh on one machine; injection), not by the graph: a
 * running proxy says itself what it was started with. Costs one walk over the ProxyConfig objects.
 */
import { type MeshProxyConfig, type MeshProxyConfigPart } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { mergeProxyConfig } from '#api/proxy-config-merge.ts';
import type { ProxyConfigSpec } from '#api/proxy-config.ts';
import { compareBytes } from '#base/bytes-order.ts';
import { type Labels, matchesLabels } from './workload-labels.ts';

/** Settings that concern all proxies of the mesh. */
export interface ProxyConfigScope {
  readonly meshDefault: MeshProxyConfig;
  readonly rootNamespace: string;
  /** All objects of the mesh, in any order. */
  readonly objects: readonly MeshObject<ProxyConfigSpec>[];
}

/** The workload that a proxy belongs to. */
export interface ProxyConfigSubject {
  readonly namespace: string;
  readonly labels: Labels;
  /** What the annotation proxy.istio.io/config says; {} without one. */
  readonly annotation: MeshProxyConfigPart;
}

/**
 * The config in force, in rising precedence: mesh default, root namespace, own namespace, annotation, selector. Of several objects that
 * fit at one place the oldest counts. Source: istio pilot/pkg/model/proxy_config.go EffectiveProxyConfig.
 */
export function effectiveProxyConfig(scope: ProxyConfigScope, subject: ProxyConfigSubject): MeshProxyConfig {
  const { namespace, labels, annotation } = subject;
  const objects = [...scope.objects].sort(byAge);
  const find = (place: string, fits: (spec: ProxyConfigSpec) => boolean): ProxyConfigSpec | undefined =>
    objects.find((object) => object.namespace === place && fits(object.spec))?.spec;
  const isForAll = (spec: ProxyConfigSpec): boolean => spec.selector === undefined;
  const global = find(scope.rootNamespace, isForAll);
  const ofNamespace = namespace === scope.rootNamespace ? undefined : find(namespace, isForAll);
  const workload = find(namespace, ({ selector }) => {
    const wanted = selector?.matchLabels ?? {};
    return Object.keys(wanted).length > 0 && matchesLabels(wanted, labels);
  });
  return mergeProxyConfig(scope.meshDefault, {
    annotation,
    ...(global === undefined ? {} : { global }),
    ...(ofNamespace === undefined ? {} : { namespace: ofNamespace }),
    ...(workload === undefined ? {} : { workload }),
  });
}

function byAge(a: MeshObject, b: MeshObject): number {
  return (
    a.createdAtMs - b.createdAtMs || compareBytes(a.name, b.name) || compareBytes(a.namespace, b.namespace)
  );
}
