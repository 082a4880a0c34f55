/**
 * EnvoyFilters compiled: what each patch asks for, its value decoded once as the Envoy message that it is, and the order in
 * which they apply. Which of them meet a proxy is scope/envoy-filter.ts, their application xds/patches/.
 * Costs one pass over an EnvoyFilter when it changes.
 */
import type { DescMessage, Message } from '@bufbuild/protobuf';
import { RE2JS } from 're2js';
import {
  type EnvoyApplyTo,
  type EnvoyConfigMatch,
  type EnvoyConfigPatch,
  type EnvoyFilterSpec,
  MAX_PROXY_VERSION_LENGTH,
} from '#api/envoy-filter.ts';
import { effectiveOperation, type PatchOperation } from '#api/envoy-filter-operation.ts';
import { decodePatchValue } from '#api/envoy-filter-value.ts';
import { Findings } from '#api/findings.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { compareBytes } from '#base/bytes-order.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import type { Cause } from '#base/cause.ts';
import { sha256Hex } from '#base/hash.ts';
import type { Collection, Engine, Index } from '#collections/collection.ts';
import { valueReferences, valueSecrets } from './envoy-filter-references.ts';

/** Where in a proxy's configuration a patch applies. */
export type PatchContext = NonNullable<EnvoyConfigMatch['context']>;

/** A change of generated configuration, whoever asked for it. Equal ids mean equal patches. */
export interface EnvoyPatch {
  readonly id: string;
  readonly applyTo: EnvoyApplyTo;
  readonly operation: PatchOperation;
  readonly context: PatchContext;
  /** Which parts it meets: listener, routeConfiguration or cluster of spec.configPatches[].match. */
  readonly match: Pick<EnvoyConfigMatch, 'listener' | 'routeConfiguration' | 'cluster'>;
  /** Never changed by those who apply it. Undefined for REMOVE alone. */
  readonly value: Message | undefined;
  readonly desc: DescMessage | undefined;
  /** Names of clusters and route configurations that the value uses. */
  readonly references: readonly string[];
  /** Names of secrets that the value fetches over ADS. */
  readonly secrets: readonly string[];
}

/** Which proxies a patch is for; what is absent is not asked. Source: EnvoyFilter.ProxyMatch. */
export interface ProxyMatch {
  /** Matches the version anywhere in it; 'none' matches no proxy. */
  readonly version: RE2JS | 'none' | undefined;
  readonly metadata: ReadonlyMap<string, string>;
}

/** A patch and where it stands. */
export interface PlacedPatch {
  readonly patch: EnvoyPatch;
  readonly proxy: ProxyMatch;
  readonly cause: Cause;
}

/** One EnvoyFilter. */
export interface EnvoyFilter {
  readonly namespace: string;
  readonly name: string;
  readonly priority: number;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly targetRefs: NonNullable<EnvoyFilterSpec['targetRefs']>;
  readonly patches: readonly PlacedPatch[];
  /** Services that the patches use, `host` or `namespace/host`, as its author says. */
  readonly referencedServices: readonly string[];
  /** Hash of the object that it was made of. */
  readonly hash: string;
}

export interface EnvoyFilterModel {
  readonly byNamespace: Index<EnvoyFilter>;
}

/** Compiles the objects. */
export function createEnvoyFilterModel(
  engine: Engine,
  objects: Collection<MeshObject<EnvoyFilterSpec>>,
): EnvoyFilterModel {
  const filters = engine.derive(
    'model.envoyFilters',
    objects,
    (_fetch, object) => compileEnvoyFilter(object),
    {
      equals: (a, b) => a.hash === b.hash && a.createdAtMs === b.createdAtMs,
    },
  );
  return {
    byNamespace: engine.index('model.envoyFilters.byNamespace', filters, ({ namespace }) => [namespace]),
  };
}

/**
 * The order in which EnvoyFilters apply to one proxy: by priority, those of the root namespace first, the older first,
 * then by name. Source: istio push_context.go EnvoyFilters.
 */
export function compareEnvoyFilters(rootNamespace: string): (a: EnvoyFilter, b: EnvoyFilter) => number {
  const isLocal = (filter: EnvoyFilter): number => (filter.namespace === rootNamespace ? 0 : 1);
  return (a, b) =>
    a.priority - b.priority ||
    isLocal(a) - isLocal(b) ||
    a.createdAtMs - b.createdAtMs ||
    compareBytes(`${a.name}.${a.namespace}`, `${b.name}.${b.namespace}`);
}

/** One object compiled. */
export function compileEnvoyFilter(object: MeshObject<EnvoyFilterSpec>): EnvoyFilter {
  const { namespace, name, createdAtMs, hash, spec } = object;
  return {
    namespace,
    name,
    priority: spec.priority ?? 0,
    createdAtMs,
    labels: spec.workloadSelector?.labels ?? {},
    targetRefs: spec.targetRefs ?? [],
    patches: (spec.configPatches ?? []).flatMap((item, index) => {
      const patch = compilePatch(item);
      const cause = { kind: object.kind, namespace, name, path: `spec.configPatches[${index}]` };
      return patch === undefined ? [] : [{ patch, proxy: proxyMatch(item), cause }];
    }),
    referencedServices: referencedServices(object),
    hash,
  };
}

/** Source: istio pilot/pkg/model/envoyfilter.go convertToEnvoyFilterWrapper. */
function referencedServices({ annotations }: MeshObject<EnvoyFilterSpec>): readonly string[] {
  const text = annotations['envoyfilter.istio.io/referenced-services'] ?? '';
  return text.split(',').filter((name) => name !== '');
}

/** Undefined for a patch that does nothing, or has a value that is no such message, of which validation has told. */
function compilePatch({
  applyTo = 'INVALID',
  match = {},
  patch = {},
}: EnvoyConfigPatch): EnvoyPatch | undefined {
  const operation = effectiveOperation(applyTo, patch.operation ?? 'INVALID');
  if (operation === undefined || (operation !== 'REMOVE' && patch.value === undefined)) return undefined;
  const value =
    operation === 'REMOVE' ? undefined : decodePatchValue(applyTo, patch.value, 'value', new Findings());
  if (operation !== 'REMOVE' && value === undefined) return undefined;
  const { context = 'ANY', listener, routeConfiguration, cluster } = match;
  const parts = {
    ...(listener === undefined ? {} : { listener }),
    ...(routeConfiguration === undefined ? {} : { routeConfiguration }),
    ...(cluster === undefined ? {} : { cluster }),
  };
  return {
    id: sha256Hex(canonicalJson([applyTo, operation, context, parts, patch.value ?? null])),
    applyTo,
    operation,
    context,
    match: parts,
    value: value?.message,
    desc: value?.desc,
    references: value === undefined ? [] : valueReferences(patch.value),
    secrets: value === undefined ? [] : valueSecrets(patch.value),
  };
}

/** A version expression that cannot be used matches nothing, so that no proxy gets what it was not meant for. */
function proxyMatch({ match }: EnvoyConfigPatch): ProxyMatch {
  const { proxyVersion = '', metadata = {} } = match?.proxy ?? {};
  return {
    version: proxyVersion === '' ? undefined : versionExpression(proxyVersion),
    metadata: new Map(Object.entries(metadata)),
  };
}

function versionExpression(text: string): RE2JS | 'none' {
  if (text.length > MAX_PROXY_VERSION_LENGTH) return 'none';
  try {
    return RE2JS.compile(text);
  } catch {
    return 'none';
  }
}
