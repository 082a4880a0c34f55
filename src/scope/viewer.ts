/**
 * Who looks outbound: all proxies of one namespace see the same mesh, unless a Sidecar object narrows it for some.
 * A viewer is a facet (DESIGN.md section 4): everything outbound is computed once per viewer, however many proxies share it.
 * Whatever of a proxy changes what it is sent outbound is part of the viewer's key; the common case is the bare namespace.
 */
import type { DestinationRuleSpec } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import { compareBytes } from '#base/bytes-order.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import { hashHex } from '#base/hash.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import {
  type ClusterFacts,
  clusterFacts,
  meshFact,
  type PolicyFacts,
  policyFacts,
} from '#model/mesh-facts.ts';
import { clientCertificatesOf, type MountedCertificates } from '#model/mounted-certificates.ts';
import type { Proxy, ProxyType } from '#model/proxy.ts';
import { type SecretServers, secretServersOf } from '#model/secret-servers.ts';
import { matchesLabels } from '#model/workload-labels.ts';
import type { ProxyConfigJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';

/** Keyed by `key`; exists while a connected proxy needs it. */
export interface Viewer {
  /** The namespace, or `namespace/sidecar` where a Sidecar object applies; `~…` marks what else sets its proxies apart. */
  readonly key: string;
  readonly namespace: string;
  readonly proxyType: ProxyType;
  /** `namespace/name` of the Sidecar object that applies; '' when none does. */
  readonly sidecar: string;
  /** False under interception NONE and for gRPC libraries: connections do not carry the address that the application asked for. */
  readonly hasOriginalDestination: boolean;
  /** Which addresses its proxies have, as far as they are used: `dual` only where the control plane is told to use both. */
  readonly ipFamilies: 'v4' | 'v6' | 'dual';
  /** Its proxies answer DNS, and so can give hosts the addresses that the control plane chose for them. */
  readonly capturesDns: boolean;
  /** Its proxies keep the case of HTTP/1 header names. */
  readonly preservesHeaderCase: boolean;
  /** Who hands out secrets beside its proxies. */
  readonly secretServers: SecretServers;
  /** Files that its proxies show to servers instead of the workload's certificate; undefined as a rule. */
  readonly clientCertificates: MountedCertificates | undefined;
  /** Names of DestinationRules of this namespace with a workloadSelector that matches these proxies, sorted. */
  readonly selectiveRules: readonly string[];
}

/** Key of a per-viewer entry. '|' cannot occur in namespaces; names may contain it and stay last. */
export function viewerKey(viewer: string, name: string): string {
  return `${viewer}|${name}`;
}

/** True for the key of a viewer of gateways. */
export function isGatewayViewer(key: string): boolean {
  return key.split('~', 2)[1] === 'router';
}

/** What viewers are made of. */
export interface ViewerSources {
  readonly engine: Engine;
  readonly proxies: Collection<Proxy>;
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
  readonly selectiveRulesByNamespace: Index<MeshObject<DestinationRuleSpec>>;
  readonly policyFacts: Collection<PolicyFacts>;
  readonly clusterFacts: Collection<ClusterFacts>;
}

/** The viewers, and the way from a proxy to its own. */
export interface ViewerModel {
  readonly viewers: Collection<Viewer>;
  /** Key of the viewer that the proxy looks through. */
  viewerOf(fetch: Fetch, proxy: Proxy): string;
}

/** Builds the collection of viewers from the connected proxies. */
export function createViewers(sources: ViewerSources): ViewerModel {
  const { engine } = sources;
  const sidecarsByNamespace = engine.index('scope.sidecarsByNamespace', sources.sidecars, (sidecar) => [
    sidecar.namespace,
  ]);
  const find = (fetch: Fetch, proxy: Proxy): Viewer =>
    viewerFor(fetch, proxy, { ...sources, sidecarsByNamespace });
  return {
    viewers: engine.deriveMany('scope.viewers', sources.proxies, (fetch, proxy) => {
      const viewer = find(fetch, proxy);
      return [[viewer.key, viewer]];
    }),
    viewerOf: (fetch, proxy) => find(fetch, proxy).key,
  };
}

interface Lookup extends ViewerSources {
  readonly sidecarsByNamespace: Index<MeshObject<SidecarSpec>>;
}

function viewerFor(fetch: Fetch, proxy: Proxy, lookup: Lookup): Viewer {
  const sidecar = proxy.type === 'sidecar' ? sidecarFor(fetch, proxy, lookup) : undefined;
  const mesh = meshFact(fetch, lookup.clusterFacts, clusterFacts);
  const rules = fetch.bucket(lookup.selectiveRulesByNamespace, proxy.namespace);
  const selectiveRules = [...rules.values()]
    .filter((rule) => matchesLabels(rule.spec.workloadSelector?.matchLabels ?? {}, proxy.labels))
    .map((rule) => rule.name)
    .sort(compareBytes);
  const facts = {
    namespace: proxy.namespace,
    proxyType: proxy.type,
    sidecar: sidecar === undefined ? '' : `${sidecar.namespace}/${sidecar.name}`,
    hasOriginalDestination: proxy.interceptionMode !== 'NONE' && proxy.generator !== 'grpc',
    ipFamilies: familiesOf(proxy, mesh.flags.dualStack),
    capturesDns: proxy.dnsCapture,
    preservesHeaderCase: preservesHeaderCase(proxy) ?? mesh.preserveHeaderCase,
    secretServers: secretServersOf(proxy),
    clientCertificates: clientCertificatesOf(proxy),
    selectiveRules,
  };
  return { key: keyOf(facts, mesh.preserveHeaderCase), ...facts };
}

function familiesOf({ addresses }: Proxy, usesBoth: boolean): Viewer['ipFamilies'] {
  const sixes = addresses.filter((address) => address.includes(':')).length;
  if (sixes > 0 && sixes === addresses.length) return 'v6';
  return sixes > 0 && usesBoth ? 'dual' : 'v4';
}

/** What the proxy's own ProxyConfig says; undefined when the proxy sent none. */
function preservesHeaderCase({ proxyConfig }: Proxy): boolean | undefined {
  if (Object.keys(proxyConfig).length === 0) return undefined;
  return (proxyConfig as ProxyConfigJson).proxyHeaders?.preserveHttp1HeaderCase ?? false;
}

function keyOf(viewer: Omit<Viewer, 'key'>, preservesByDefault: boolean): string {
  const { namespace, sidecar } = viewer;
  const own = `${namespace}/`;
  const parts = [sidecar === '' ? namespace : sidecar.startsWith(own) ? sidecar : `${own}${sidecar}`];
  if (viewer.proxyType !== 'sidecar') parts.push(viewer.proxyType);
  else if (!viewer.hasOriginalDestination) parts.push('none');
  if (viewer.ipFamilies !== 'v4') parts.push(viewer.ipFamilies === 'v6' ? 'ipv6' : 'dual');
  if (viewer.capturesDns) parts.push('dns');
  if (viewer.preservesHeaderCase !== preservesByDefault)
    parts.push(viewer.preservesHeaderCase ? 'case' : 'lowercase');
  if (viewer.secretServers.credentials) parts.push('sds');
  if (viewer.secretServers.files) parts.push('files');
  if (viewer.clientCertificates !== undefined)
    parts.push(`certificates=${hashHex(canonicalJson(viewer.clientCertificates))}`);
  if (viewer.selectiveRules.length > 0) parts.push(`rules=${viewer.selectiveRules.join(',')}`);
  return parts.join('~');
}

/**
 * The Sidecar object for a proxy: one of its namespace that selects it, else the namespace's own default, else the mesh's
 * default in the root namespace. Source: Istio push_context.go doGetSidecarScope.
 */
function sidecarFor(fetch: Fetch, proxy: Proxy, lookup: Lookup): MeshObject<SidecarSpec> | undefined {
  const own = [...fetch.bucket(lookup.sidecarsByNamespace, proxy.namespace).values()].sort(compareSidecars);
  const selected = own.find(({ spec }) => matchesLabels(spec.workloadSelector?.labels ?? {}, proxy.labels));
  if (selected !== undefined) return selected;
  const { rootNamespace } = meshFact(fetch, lookup.policyFacts, policyFacts);
  const ofRoot = [...fetch.bucket(lookup.sidecarsByNamespace, rootNamespace).values()].sort(compareSidecars);
  return ofRoot.find(({ spec }) => spec.workloadSelector === undefined);
}

/** Those with a selector first, then the older, then by name. */
function compareSidecars(a: MeshObject<SidecarSpec>, b: MeshObject<SidecarSpec>): number {
  const aRank = a.spec.workloadSelector === undefined ? 1 : 0;
  const bRank = b.spec.workloadSelector === undefined ? 1 : 0;
  return aRank - bRank || a.createdAtMs - b.createdAtMs || compareBytes(a.name, b.name);
}
