/**
 * Which extensions stand in a workload's listeners, as a facet: names, order and conditions, not what the extensions do.
 * So a plugin's new configuration or image changes no listener; only a Lua script, which stands in the listener itself, does.
 * Costs a read of two buckets per proxy.
 * Source: istio pilot/pkg/model/extensions.go MatchListener, TrafficExtensionResourceNamePrefix.
 */
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { PolicySubject } from '#model/policy-target.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  type ExtensionPhase,
  extensionsFor,
  type TrafficExtension,
  type TrafficExtensionModel,
} from '#model/traffic-extension.ts';
import type { ListenerFacts } from './listener-facts.ts';

/** Which side of its calls a workload is on where a listener takes them: outbound listeners and gateways are clients. */
export type TrafficSide = 'CLIENT' | 'SERVER';

/** One extension as listeners see it. */
export interface ListenerExtension {
  /** Of the filter; of a Wasm extension also of the configuration that Envoy asks for. */
  readonly name: string;
  readonly phase: ExtensionPhase;
  /** The script of a Lua extension, undefined for Wasm. */
  readonly script: string | undefined;
}

/** An extension of a workload with the traffic that it is for. */
export interface ScopedExtension extends ListenerExtension {
  readonly chain: 'http' | 'network';
  /** Any of these; empty means all traffic. No ports means all ports. */
  readonly match: readonly { readonly side: TrafficSide | 'BOTH'; readonly ports: readonly number[] }[];
}

/** All extensions of a workload: by phase, and in their order within one. */
export type ExtensionFacet = readonly ScopedExtension[];

/** The facet, and why: `causes` go with it item by item. */
export interface WorkloadExtensions {
  readonly facet: ExtensionFacet;
  readonly causes: readonly Cause[];
  /** Collection keys of the Wasm extensions, whose configuration the proxy asks for by name. */
  readonly configured: readonly string[];
}

/** Of a workload without any; one object, so that what is remembered by facet is found again. */
export const NO_WORKLOAD_EXTENSIONS: WorkloadExtensions = { facet: [], causes: [], configured: [] };

const NAME_PREFIX = 'extensions.istio.io/trafficextension/';
const PHASES: readonly ExtensionPhase[] = ['AUTHN', 'AUTHZ', 'STATS', 'UNSPECIFIED'];

/** Name of an extension's filter and configuration. EnvoyFilters and configuration dumps know it. */
export function extensionName({ namespace, name }: Pick<TrafficExtension, 'namespace' | 'name'>): string {
  return `${NAME_PREFIX}${namespace}.${name}`;
}

/** The extensions of every connected proxy that has any, keyed by proxy id. */
export function createExtensionScope(
  engine: Engine,
  deps: {
    readonly proxies: Collection<Proxy>;
    readonly facts: Collection<ListenerFacts>;
    readonly model: TrafficExtensionModel;
  },
): Collection<WorkloadExtensions> {
  return engine.derive('scope.extensions', deps.proxies, (fetch, proxy) => {
    const facts = fetch.get(deps.facts, MESH_KEY);
    const found = facts === undefined ? undefined : workloadExtensions(fetch, deps.model, facts, proxy);
    return found?.facet.length === 0 ? undefined : found;
  });
}

/** The extensions of one workload. */
export function workloadExtensions(
  fetch: Fetch,
  model: TrafficExtensionModel,
  { rootNamespace }: Pick<ListenerFacts, 'rootNamespace'>,
  subject: PolicySubject,
): WorkloadExtensions {
  const found = extensionsFor(fetch, model, rootNamespace, subject);
  const ordered = PHASES.flatMap((phase) => found.filter((extension) => extension.phase === phase));
  return {
    facet: ordered.map(scoped),
    causes: ordered.map(({ object }) => ({ ...object, path: 'spec' })),
    configured: ordered
      .filter(({ code }) => code.kind === 'wasm')
      .map(({ namespace, name }) => `${namespace}/${name}`),
  };
}

function scoped(extension: TrafficExtension): ScopedExtension {
  const { phase, chain, code, match } = extension;
  return {
    name: extensionName(extension),
    phase,
    chain,
    script: code.kind === 'lua' ? code.script : undefined,
    match: match.map(({ mode = 'UNDEFINED', ports = [] }) => ({
      side: mode === 'CLIENT' || mode === 'SERVER' ? mode : 'BOTH',
      ports: ports.map(({ number = 0 }) => number),
    })),
  };
}

/** Facet and causes of what may stand in listeners of one side. */
export function extensionsOnSide(
  { facet, causes }: Pick<WorkloadExtensions, 'facet' | 'causes'>,
  side: TrafficSide,
): Pick<WorkloadExtensions, 'facet' | 'causes'> {
  const isKept = facet.map((extension) => isForSide(extension, side));
  return { facet: facet.filter((_, i) => isKept[i]), causes: causes.filter((_, i) => isKept[i]) };
}

function isForSide({ match }: ScopedExtension, side: TrafficSide): boolean {
  return match.length === 0 || match.some((one) => one.side === 'BOTH' || one.side === side);
}

/** Whether it stands in a listener of that side and port; 0 where connections to any port arrive. */
export function isForListener({ match }: ScopedExtension, side: TrafficSide, port: number): boolean {
  if (match.length === 0) return true;
  return match.some(
    (one) =>
      (one.side === 'BOTH' || one.side === side) &&
      (one.ports.length === 0 || (port !== 0 && one.ports.includes(port))),
  );
}
