/**
 * Suite authz: which RBAC and ext_authz filters the policies of a workload become. Compared are number and order of filters,
 * actions, names of policies, permissions and principals. Ignored, as its README permits: order inside and/or lists, and/or around
 * a single element, order of the policy map, stat_prefix, proto defaults.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DescMessage, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import type { AuthorizationPolicySpec } from '#api/authorization-policy.ts';
import { decodeObject } from '#api/decode-object.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { createEngine } from '#collections/engine.ts';
import { type AuthorizationFacet, authorizationFor, createAuthorizationModel } from '#model/authorization.ts';
import { createExternalAuthorizers } from '#model/external-authorizer.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { PolicySubject } from '#model/policy-target.ts';
import type { Service } from '#model/service.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { HttpFilterSchema } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import {
  buildHttpAuthorization,
  buildHttpCustomAuthorization,
  buildTcpAuthorization,
  buildTcpCustomAuthorization,
} from '#xds/filters/authorization.ts';
import { findDifferences, isPlain, sortedJson } from './difference.ts';
import type { CaseContext, ConformanceCase, Suite } from './suite.ts';
import { normal } from './xds-comparison.ts';

interface AuthzCase {
  readonly name: string;
  readonly protocol: 'http' | 'tcp';
  readonly workload: PolicySubject;
  readonly trustDomains: readonly string[];
  readonly policies: readonly unknown[];
  readonly meshConfig: MeshConfigJson | null;
  /** Only the filters of CUSTOM policies, or only the others. */
  readonly customBuilder: boolean;
  readonly filters: readonly JsonValue[];
}

export const AUTHZ: Suite = {
  name: 'authz',
  missing: [],
  cases(dir) {
    const cases = JSON.parse(readFileSync(join(dir, 'authz', 'cases.json'), 'utf8')) as readonly AuthzCase[];
    return cases.map(caseOf);
  },
};

function caseOf(item: AuthzCase): ConformanceCase {
  return { name: item.name, tags: [item.protocol], needs: [], run: (context) => compare(item, context) };
}

function compare(
  { name, protocol, filters, ...question }: AuthzCase,
  context: CaseContext,
): readonly string[] {
  const facet = facetOf(question);
  const registry = envoyRegistry();
  const isHttp = protocol === 'http';
  const schema: DescMessage = isHttp ? HttpFilterSchema : FilterSchema;
  const own = isHttp
    ? [...buildHttpCustomAuthorization(facet), ...buildHttpAuthorization(facet)]
    : [...buildTcpCustomAuthorization(facet), ...buildTcpAuthorization(facet)];
  const got = own.map((filter) => toJson(schema, filter, { registry }));
  const want = filters.map((filter) => toJson(schema, fromJson(schema, filter, { registry }), { registry }));
  context.dump(name.replaceAll('/', '-'), 'filters', got);
  const found: string[] = [];
  const inForm = (list: readonly unknown[]): readonly unknown[] =>
    list.map((filter) => unordered(normal(filter, context)));
  findDifferences('filters', inForm(want), inForm(got), found);
  return found;
}

/** The service that the suite's providers name. */
const AUTHORIZER = { namespace: 'foo', hostname: 'my-custom-ext-authz.foo.svc.cluster.local' } as Service;

/** The facet of a workload whose mesh has no root namespace. */
function facetOf({
  workload,
  trustDomains,
  policies,
  meshConfig,
  customBuilder,
}: Omit<AuthzCase, 'name' | 'protocol' | 'filters'>): AuthorizationFacet {
  const engine = createEngine();
  const config = engine.source<MeshConfigJson>('meshConfig');
  const services = engine.source<Service>('services');
  const byHostname = engine.index('servicesByHostname', services, ({ hostname }) => [hostname]);
  config.set(MESH_KEY, meshConfig ?? {});
  services.set('authorizer', AUTHORIZER);
  const objects = engine.source<MeshObject<AuthorizationPolicySpec>>('policies');
  const subjects = engine.source<PolicySubject>('subjects');
  const model = createAuthorizationModel(
    engine,
    objects,
    createExternalAuthorizers(engine, config, byHostname),
  );
  const facts = { rootNamespace: '', trustDomains };
  const facets = engine.derive(
    'facet',
    subjects,
    (fetch, subject) => authorizationFor(fetch, model, facts, subject).facet,
  );
  for (const policy of policies) {
    const { object } = decodeObject(policy, { defaultNamespace: 'default' });
    if (object !== undefined)
      objects.set(`${object.namespace}/${object.name}`, object as MeshObject<AuthorizationPolicySpec>);
  }
  subjects.set('workload', workload);
  engine.settle();
  const facet = facets.get('workload') as AuthorizationFacet;
  const chosen = facet.policies.filter(({ action }) => (action === 'CUSTOM') === customBuilder);
  return { ...facet, policies: chosen };
}

const LOGIC: ReadonlySet<string> = new Set(['andRules', 'orRules', 'andIds', 'orIds']);

/** And/or lists sorted, and unwrapped where they have one element. */
function unordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unordered);
  if (!isPlain(value)) return value;
  const [key, ...others] = Object.keys(value);
  if (key !== undefined && others.length === 0 && LOGIC.has(key)) {
    const list = Object.values(value[key] as Readonly<Record<string, readonly unknown[]>>)[0] ?? [];
    const members = list.map(unordered).sort((a, b) => (sortedJson(a) < sortedJson(b) ? -1 : 1));
    return members.length === 1 ? members[0] : { [key]: members };
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, unordered(part)]));
}
