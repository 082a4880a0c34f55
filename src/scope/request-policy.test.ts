import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuthorizationPolicySpec } from '#api/authorization-policy.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { createEngine } from '#collections/engine.ts';
import { createRequestPolicyScope } from './request-policy.ts';
import type { ListenerFacts } from './listener-facts.ts';
import { createAuthorizationModel } from '#model/authorization.ts';
import type { RequestAuthenticationSpec } from '#api/request-authentication.ts';
import type { KeySetState } from '#model/jwt-key-set.ts';
import { createRequestAuthenticationModel } from '#model/request-authentication.ts';
import type { AuthorizerResolution, ExternalAuthorizer } from '#model/external-authorizer.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';

function policy(
  namespace: string,
  name: string,
  spec: AuthorizationPolicySpec,
  annotations: Readonly<Record<string, string>> = {},
): MeshObject<AuthorizationPolicySpec> {
  return {
    kind: 'AuthorizationPolicy',
    apiVersion: 'security.istio.io/v1',
    namespace,
    name,
    labels: {},
    annotations,
    createdAtMs: 0,
    spec,
    hash: name,
  };
}

const AUTHORIZER: ExternalAuthorizer = {
  name: 'known',
  hostname: 'authorizer.app.svc.cluster.local',
  port: 9000,
  timeoutMs: 1000,
  failOpen: false,
  statusOnError: 0,
};
const LABELS = { app: 'reviews', 'gateway.networking.k8s.io/gateway-name': 'gate' };
const GATEWAY_TARGET = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'gate' };

/** What holds for the proxy `one` in namespace `app`, and what it takes to change it. */
function scopeOf(
  policies: readonly MeshObject<AuthorizationPolicySpec>[],
  requestAuthentications: readonly MeshObject<RequestAuthenticationSpec>[] = [],
) {
  const engine = createEngine();
  const objects = engine.source<MeshObject<AuthorizationPolicySpec>>('objects');
  const proxies = engine.source<Proxy>('proxies');
  const facts = engine.source<ListenerFacts>('facts');
  for (const object of policies) objects.set(`${object.namespace}/${object.name}`, object);
  proxies.set('one', { namespace: 'app', labels: LABELS } as unknown as Proxy);
  facts.set(MESH_KEY, { rootNamespace: 'root', trustDomains: ['td'] } as unknown as ListenerFacts);
  const authorizers = engine.source<AuthorizerResolution>('authorizers');
  authorizers.set('known', { authorizer: AUTHORIZER });
  authorizers.set('broken', { fault: 'there is no service nowhere' });
  const authorization = createAuthorizationModel(engine, objects, authorizers);
  const tokens = engine.source<MeshObject<RequestAuthenticationSpec>>('requestAuthentications');
  for (const object of requestAuthentications) tokens.set(`${object.namespace}/${object.name}`, object);
  const keySets = engine.source<KeySetState>('keySets');
  keySets.set('uri http://good', { keys: 'KEYS', fault: '' });
  keySets.set('uri http://bad', { keys: '', fault: 'refused' });
  keySets.set('uri http://old', { keys: 'OLD', fault: 'refused' });
  const requestAuthentication = createRequestAuthenticationModel(engine, tokens, keySets);
  const scope = createRequestPolicyScope(engine, {
    proxies,
    facts,
    policies: { authorization, requestAuthentication },
  });
  engine.settle();
  return { engine, objects, scope };
}

function namesOf(...policies: MeshObject<AuthorizationPolicySpec>[]): string[] {
  const { scope } = scopeOf(policies);
  return (scope.get('one')?.facet.policies ?? []).map(({ namespace, name }) => `${namespace}/${name}`);
}

describe('policies of a workload', () => {
  const cases: readonly (readonly [string, MeshObject<AuthorizationPolicySpec>, boolean])[] = [
    ['of its namespace', policy('app', 'a', {}), true],
    ['of the root namespace', policy('root', 'a', {}), true],
    ['of another namespace', policy('other', 'a', {}), false],
    ['that select it', policy('app', 'a', { selector: { matchLabels: { app: 'reviews' } } }), true],
    [
      'of the root namespace that select it',
      policy('root', 'a', { selector: { matchLabels: { app: 'reviews' } } }),
      true,
    ],
    ['that select another', policy('app', 'a', { selector: { matchLabels: { app: 'ratings' } } }), false],
    ['with its gateway as target', policy('app', 'a', { targetRefs: [GATEWAY_TARGET] }), true],
    ['with another target', policy('app', 'a', { targetRef: { ...GATEWAY_TARGET, name: 'other' } }), false],
    ['of the root namespace with a target', policy('root', 'a', { targetRefs: [GATEWAY_TARGET] }), false],
  ];
  for (const [name, object, holds] of cases) {
    it(`${holds ? 'are' : 'are not'} those ${name}`, () =>
      assert.deepEqual(namesOf(object).length, holds ? 1 : 0));
  }

  it('are sorted by namespace and name, whatever came first', () => {
    assert.deepEqual(namesOf(policy('root', 'a', {}), policy('app', 'b', {}), policy('app', 'a', {})), [
      'app/a',
      'app/b',
      'root/a',
    ]);
  });

  it('are plain data, with causes and findings beside them', () => {
    const { scope } = scopeOf([
      policy('app', 'a', { action: 'CUSTOM', provider: { name: 'broken' }, rules: [{}] }),
      policy('app', 'b', { action: 'CUSTOM', provider: { name: 'opa' } }, { 'istio.io/dry-run': 'true' }),
    ]);
    const common = { namespace: 'app', action: 'CUSTOM' };
    assert.deepEqual(scope.get('one'), {
      facet: {
        trustDomains: ['td'],
        policies: [
          { ...common, name: 'a', dryRun: false, provider: 'broken', rules: [{}] },
          { ...common, name: 'b', dryRun: true, provider: 'opa', rules: [] },
        ],
        mayAskSeveral: false,
        authorizers: [],
        tokenRules: [],
      },
      causes: [
        { kind: 'AuthorizationPolicy', namespace: 'app', name: 'a', path: 'spec' },
        { kind: 'AuthorizationPolicy', namespace: 'app', name: 'b', path: 'spec' },
      ],
      findings: [
        {
          code: 'LTN2901',
          severity: 'error',
          resource: { kind: 'AuthorizationPolicy', namespace: 'app', name: 'a' },
          path: 'spec.provider.name',
          args: { provider: 'broken', reason: 'there is no service nowhere' },
        },
      ],
    });
  });

  it('hold the authorizer that a CUSTOM policy names, and no other', () => {
    const { scope } = scopeOf([policy('app', 'a', { action: 'CUSTOM', provider: { name: 'known' } })]);
    assert.deepEqual(scope.get('one')?.facet.authorizers, [AUTHORIZER]);
    assert.deepEqual(scope.get('one')?.findings, []);
    assert.deepEqual(scopeOf([policy('app', 'a', {})]).scope.get('one')?.facet.authorizers, []);
  });

  it('hold the rules on tokens by issuer, with the keys that are known', () => {
    const rules = (...jwtRules: object[]): MeshObject<RequestAuthenticationSpec> => ({
      ...policy('app', 'tokens', {}),
      kind: 'RequestAuthentication',
      spec: { jwtRules },
    });
    const { scope } = scopeOf(
      [],
      [
        rules(
          { issuer: 'd', jwks: 'INLINE', audiences: ['x'] },
          { issuer: 'c', jwksUri: 'http://good' },
          { issuer: 'b', jwksUri: 'http://bad' },
          { issuer: 'a', jwksUri: 'http://old' },
          { issuer: 'pending' },
        ),
      ],
    );
    assert.deepEqual(
      scope.get('one')?.facet.tokenRules.map(({ rule, keys }) => [rule.issuer, keys]),
      [
        ['a', 'OLD'],
        ['b', ''],
        ['c', 'KEYS'],
        ['d', 'INLINE'],
        ['pending', ''],
      ],
    );
    assert.deepEqual(
      scope.get('one')?.findings.map(({ code, severity, path }) => [code, severity, path]),
      [
        ['LTN2902', 'error', 'spec.jwtRules[2].jwksUri'],
        ['LTN2903', 'warning', 'spec.jwtRules[3].jwksUri'],
      ],
    );
  });

  it('do not change with policies of other namespaces', () => {
    const { engine, objects, scope } = scopeOf([policy('app', 'a', {})]);
    const before = scope.get('one');
    const recomputed = engine.counters.recomputed;
    objects.set('other/x', policy('other', 'x', {}));
    engine.settle();
    assert.equal(scope.get('one'), before);
    assert.equal(engine.counters.recomputed, recomputed);
    objects.delete('app/a');
    engine.settle();
    assert.deepEqual(scope.get('one')?.facet.policies, []);
  });
});
