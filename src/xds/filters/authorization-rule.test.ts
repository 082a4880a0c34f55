import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, type JsonValue, toJson } from '@bufbuild/protobuf';
import type { AuthorizationRule } from '#api/authorization-policy.ts';
import { PolicySchema } from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import { buildRule, neverMatches, type RbacPolicy } from './authorization-rule.ts';

const ALLOW_HTTP = { tcp: false, strict: true, namespace: 'own' };
const DENY_HTTP = { tcp: false, strict: false, namespace: 'own' };
const ALLOW_TCP = { tcp: true, strict: true, namespace: 'own' };
const DENY_TCP = { tcp: true, strict: false, namespace: 'own' };
const ANY = { any: true };
const EVERYBODY = { andIds: { ids: [ANY] } };
const EVERYTHING = { andRules: { rules: [ANY] } };

function json(policy: RbacPolicy | undefined): JsonValue {
  return policy === undefined ? null : toJson(PolicySchema, create(PolicySchema, policy));
}

/** The principals, without the lists around a single one. */
function principalOf(rule: AuthorizationRule): JsonValue {
  const policy = json(buildRule(rule, [], ALLOW_HTTP)) as {
    principals: { andIds: { ids: { orIds?: { ids: JsonValue[] } }[] } }[];
  };
  const first = policy.principals[0]?.andIds.ids[0];
  // Conditions on tokens stand alone where there is one.
  return first?.orIds === undefined
    ? ((first as JsonValue | undefined) ?? null)
    : (first.orIds.ids[0] ?? null);
}

function permissionOf(rule: AuthorizationRule): JsonValue {
  const policy = json(buildRule(rule, [], ALLOW_HTTP)) as {
    permissions: { andRules: { rules: { orRules?: { rules: JsonValue[] } }[] } }[];
  };
  const [first] = policy.permissions[0]?.andRules.rules ?? [];
  return first?.orRules?.rules[0] ?? (first as JsonValue | undefined) ?? null;
}

const identity = (principalName: JsonValue): JsonValue => ({ authenticated: { principalName } });
const regex = (text: string): JsonValue => ({ safeRegex: { regex: text } });
const when = (key: string, ...values: string[]): AuthorizationRule => ({ when: [{ key, values }] });
const claim = (path: readonly string[], value: JsonValue): JsonValue => ({
  metadata: {
    filter: 'envoy.filters.http.jwt_authn',
    path: ['payload', ...path].map((key) => ({ key })),
    value,
  },
});
const textOrList = (match: JsonValue): JsonValue => ({
  orMatch: { valueMatchers: [{ listMatch: { oneOf: { stringMatch: match } } }, { stringMatch: match }] },
});
const issuerAndSubject = (issuer: JsonValue, subject: JsonValue): JsonValue => ({
  andIds: { ids: [claim(['iss'], { stringMatch: issuer }), claim(['sub'], { stringMatch: subject })] },
});

describe('callers in rules', () => {
  const cases: readonly (readonly [string, AuthorizationRule, JsonValue])[] = [
    ['principal', when('source.principal', 'td/ns/a/sa/b'), identity({ exact: 'spiffe://td/ns/a/sa/b' })],
    ['namespace', when('source.namespace', 'a.b*'), identity(regex('.*/ns/a\\.b.*/.*'))],
    [
      'own service account',
      when('source.serviceAccount', 'a.b'),
      identity(regex('spiffe://.+/ns/own/(.+/|)sa/a\\.b(/.+)?')),
    ],
    [
      'service account',
      when('source.serviceAccount', 'n/a'),
      identity(regex('spiffe://.+/ns/n/(.+/|)sa/a(/.+)?')),
    ],
    ['trust domain', when('source.trustDomain', 'td'), identity({ prefix: 'spiffe://td/' })],
    ['any trust domain', when('source.trustDomain', '*'), identity({ prefix: 'spiffe://' })],
    ['trust domain pattern', when('source.trustDomain', '*.x'), identity(regex('spiffe://[^/]*\\.x/.*'))],
    [
      'peer address',
      when('source.ip', '10.0.0.0/8'),
      { directRemoteIp: { addressPrefix: '10.0.0.0', prefixLen: 8 } },
    ],
    ['client address', when('remote.ip', '::1'), { remoteIp: { addressPrefix: '::1', prefixLen: 128 } }],
    [
      'token of an issuer that is a URL',
      when('request.auth.principal', 'https://i/x/sub'),
      issuerAndSubject({ exact: 'https://i/x' }, { exact: 'sub' }),
    ],
    ['any token', when('request.auth.principal', '*'), issuerAndSubject(regex('.+'), regex('.+'))],
    [
      'any subject of an issuer',
      when('request.auth.principal', 'iss/*'),
      issuerAndSubject({ exact: 'iss' }, regex('.+')),
    ],
    [
      'subject of any issuer',
      when('request.auth.principal', '*/s'),
      issuerAndSubject(regex('.+'), { exact: 's' }),
    ],
    [
      'subject by its end',
      when('request.auth.principal', '*s'),
      issuerAndSubject(regex('.+'), { suffix: 's' }),
    ],
    [
      'issuer by its beginning',
      when('request.auth.principal', 'i*'),
      issuerAndSubject({ prefix: 'i' }, regex('.+')),
    ],
    ['audience', when('request.auth.audiences', 'a'), claim(['aud'], textOrList({ exact: 'a' }))],
    ['presenter', when('request.auth.presenter', 'a*'), claim(['azp'], textOrList({ prefix: 'a' }))],
    ['claim', when('request.auth.claims[groups]', 'g'), claim(['groups'], textOrList({ exact: 'g' }))],
    ['nested claim', when('request.auth.claims[a][b]', 'g'), claim(['a', 'b'], textOrList({ exact: 'g' }))],
    ['header', when('request.headers[X-A]', 'v*'), { header: { name: 'X-A', stringMatch: { prefix: 'v' } } }],
  ];
  for (const [name, rule, expected] of cases) it(name, () => assert.deepEqual(principalOf(rule), expected));
});

describe('operations in rules', () => {
  const to = (operation: object): AuthorizationRule => ({ to: [{ operation }] });
  const cases: readonly (readonly [string, AuthorizationRule, JsonValue])[] = [
    [
      'host',
      to({ hosts: ['*.A.com'] }),
      { header: { name: ':authority', stringMatch: { suffix: '.A.com', ignoreCase: true } } },
    ],
    ['method', to({ methods: ['GET'] }), { header: { name: ':method', stringMatch: { exact: 'GET' } } }],
    ['path', to({ paths: ['/a*'] }), { urlPath: { path: { prefix: '/a' } } }],
    ['port', to({ ports: ['80'] }), { destinationPort: 80 }],
    [
      'address',
      when('destination.ip', '10.0.0.1'),
      { destinationIp: { addressPrefix: '10.0.0.1', prefixLen: 32 } },
    ],
    ['server name', when('connection.sni', '*.a'), { requestedServerName: { suffix: '.a' } }],
    [
      'metadata of a filter',
      when('experimental.envoy.filters.a.b[c]', 'v'),
      {
        metadata: {
          filter: 'envoy.filters.a.b',
          path: [{ key: 'c' }],
          value: { stringMatch: { exact: 'v' } },
        },
      },
    ],
    [
      'list in the metadata of a filter',
      when('experimental.envoy.filters.a.b[c]', '[v]'),
      {
        metadata: {
          filter: 'envoy.filters.a.b',
          path: [{ key: 'c' }],
          value: { listMatch: { oneOf: { stringMatch: { exact: 'v' } } } },
        },
      },
    ],
  ];
  for (const [name, rule, expected] of cases) it(name, () => assert.deepEqual(permissionOf(rule), expected));

  it('path templates whose segments are not whole, or that go on with a wildcard after {**}, allow nothing', () => {
    for (const path of ['/a{*}', '/{**}/{*}', '/{*}/[', 'a/{*}', '/{x}/{*}', '/{*}//a']) {
      assert.equal(buildRule(to({ paths: [path] }), [], ALLOW_HTTP), undefined, path);
    }
  });
});

describe('rules', () => {
  it('without anything are everybody and everything', () => {
    assert.deepEqual(json(buildRule({}, [], ALLOW_HTTP)), {
      permissions: [EVERYTHING],
      principals: [EVERYBODY],
    });
  });

  it('join each source and each operation with all of when, and what is not wanted with not', () => {
    const rule: AuthorizationRule = {
      from: [{ source: { ipBlocks: ['10.0.0.1'], notIpBlocks: ['10.0.0.2'] } }, {}],
      to: [{ operation: { ports: ['1'] } }],
      when: [{ key: 'destination.port', notValues: ['2', '3'] }],
    };
    const ip = (last: number): JsonValue => ({
      orIds: { ids: [{ directRemoteIp: { addressPrefix: `10.0.0.${last}`, prefixLen: 32 } }] },
    });
    const ports = (...list: number[]): JsonValue => ({
      orRules: { rules: list.map((port) => ({ destinationPort: port })) },
    });
    assert.deepEqual(json(buildRule(rule, [], ALLOW_HTTP)), {
      permissions: [{ andRules: { rules: [ports(1), { notRule: ports(2, 3) }] } }],
      principals: [{ andIds: { ids: [ip(1), { notId: ip(2) }] } }, EVERYBODY],
    });
  });

  it('with fields of HTTP never allow a connection, and deny it without them', () => {
    const rule: AuthorizationRule = {
      from: [{ source: { requestPrincipals: ['*'] } }],
      to: [{ operation: { ports: ['80'], methods: ['GET'] } }],
    };
    assert.equal(buildRule(rule, [], ALLOW_TCP), undefined);
    assert.deepEqual(json(buildRule(rule, [], DENY_TCP)), {
      permissions: [{ andRules: { rules: [{ orRules: { rules: [{ destinationPort: 80 }] } }] } }],
      principals: [EVERYBODY],
    });
  });

  it('with what nobody understands allow nothing, and deny without it', () => {
    for (const rule of [
      when('no.such', 'x'),
      when('operation.hosts', 'x'),
      when('destination.port', '70000'),
      when('source.ip', 'x'),
    ]) {
      assert.equal(buildRule(rule, [], ALLOW_HTTP), undefined);
      assert.deepEqual(json(buildRule(rule, [], DENY_HTTP)), {
        permissions: [EVERYTHING],
        principals: [EVERYBODY],
      });
    }
  });

  it('of a policy without rules match nothing', () => {
    assert.deepEqual(json(neverMatches()), { permissions: [{ notRule: ANY }], principals: [{ notId: ANY }] });
  });
});
