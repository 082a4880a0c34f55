/**
 * Extensions of the data plane: WebAssembly modules and Lua scripts for selected workloads, from TrafficExtension and
 * WasmPlugin alike (wasm-plugin.ts turns the one into the other). Costs one small record per object, and a walk over the
 * extensions of two namespaces for each question.
 * Source: istio pilot/pkg/model/extensions.go, push_context.go TrafficExtensionsByListenerInfo.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { TrafficExtensionSelector, TrafficExtensionSpec } from '#api/traffic-extension.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import { type PolicySubject, selectsWorkload } from './policy-target.ts';
import { wasmModule, type WasmModule } from './wasm-module.ts';
import { asTrafficExtension } from './wasm-plugin.ts';
import type { WasmPluginSpec } from '#api/wasm-plugin.ts';

/** Where among the security filters an extension stands. */
export type ExtensionPhase = 'AUTHN' | 'AUTHZ' | 'STATS' | 'UNSPECIFIED';

/** What runs: a module, fetched or on disk, or a script in the object itself. */
export type ExtensionCode =
  | { readonly kind: 'wasm'; readonly module: WasmModule }
  | { readonly kind: 'lua'; readonly script: string };

/** One extension. Keyed `namespace/name` with its own name. */
export interface TrafficExtension {
  /** The object that the user wrote. */
  readonly object: ObjectRef;
  readonly namespace: string;
  /** Name of the TrafficExtension, or the one that stands for a WasmPlugin. */
  readonly name: string;
  readonly createdAtMs: number;
  readonly target: Pick<TrafficExtensionSpec, 'selector' | 'targetRefs'>;
  readonly phase: ExtensionPhase;
  /** Higher ones come first in their phase; undefined is lowest. */
  readonly priority: number | undefined;
  /** Kinds of traffic; empty means all. */
  readonly match: readonly TrafficExtensionSelector[];
  /** Which chains it is for: requests, or connections. */
  readonly chain: 'http' | 'network';
  readonly code: ExtensionCode;
}

/** Extensions, and how they are found. */
export interface TrafficExtensionModel {
  readonly extensions: Collection<TrafficExtension>;
  readonly byNamespace: Index<TrafficExtension>;
}

/** Makes the model from the two kinds. */
export function createTrafficExtensionModel(
  engine: Engine,
  trafficExtensions: Collection<MeshObject<TrafficExtensionSpec>>,
  wasmPlugins: Collection<MeshObject<WasmPluginSpec>>,
): TrafficExtensionModel {
  const own = engine.derive('model.ownTrafficExtensions', trafficExtensions, (_fetch, object) =>
    trafficExtension(object, object),
  );
  const translated = engine.deriveMany('model.wasmPlugins', wasmPlugins, (_fetch, plugin) => {
    const object = asTrafficExtension(plugin);
    return [[`${object.namespace}/${object.name}`, trafficExtension(object, plugin)] as const];
  });
  const extensions = engine.union('model.trafficExtensions', [own, translated]);
  const byNamespace = engine.index('model.trafficExtensionsByNamespace', extensions, ({ namespace }) => [
    namespace,
  ]);
  return { extensions, byNamespace };
}

/** `written` is the object of the user, for causes. */
function trafficExtension(
  { namespace, name, createdAtMs, spec, hash }: MeshObject<TrafficExtensionSpec>,
  written: ObjectRef,
): TrafficExtension {
  const { selector, targetRefs, phase = 'UNSPECIFIED', priority, match = [], wasm, lua } = spec;
  const isNetwork = lua === undefined && wasm?.type === 'NETWORK';
  return {
    object: { kind: written.kind, namespace: written.namespace, name: written.name },
    namespace,
    name,
    createdAtMs,
    target: {
      ...(selector === undefined ? {} : { selector }),
      ...(targetRefs === undefined ? {} : { targetRefs }),
    },
    phase,
    priority: priority ?? undefined,
    match,
    chain: isNetwork ? 'network' : 'http',
    code:
      lua === undefined
        ? { kind: 'wasm', module: wasmModule(wasm ?? {}, namespace, hash) }
        : { kind: 'lua', script: lua.inlineCode ?? '' },
  };
}

/**
 * The extensions for a workload, of its own namespace and of the root namespace, in the order of their filters within a
 * phase: by priority, then those of the workload's namespace, then the older. Reads two buckets.
 */
export function extensionsFor(
  fetch: Fetch,
  model: TrafficExtensionModel,
  rootNamespace: string,
  subject: PolicySubject,
): readonly TrafficExtension[] {
  const namespaces = new Set([subject.namespace, rootNamespace]);
  return [...namespaces]
    .flatMap((namespace) => [...fetch.bucket(model.byNamespace, namespace).values()].sort(compareAge))
    .filter(({ namespace, target }) => selectsWorkload({ namespace, spec: target }, subject))
    .sort(comparePriority);
}

function compareAge(a: TrafficExtension, b: TrafficExtension): number {
  return (
    a.createdAtMs - b.createdAtMs || compareBytes(`${a.name}.${a.namespace}`, `${b.name}.${b.namespace}`)
  );
}

function comparePriority(a: TrafficExtension, b: TrafficExtension): number {
  const [first, second] = [a.priority ?? Number.NEGATIVE_INFINITY, b.priority ?? Number.NEGATIVE_INFINITY];
  return first === second ? 0 : second > first ? 1 : -1;
}
