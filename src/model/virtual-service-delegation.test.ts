import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { HttpMatch, HttpRoute, VirtualServiceSpec } from '#api/virtual-service.ts';
import { object } from './service-model-rig.ts';
import type { VirtualService } from './virtual-service.ts';
import { type Delegation, mergeDelegates } from './virtual-service-delegation.ts';
import { resolveVirtualService } from './virtual-service-resolution.ts';

const CONTEXT = { clusterDomain: 'cluster.local', defaultExportTo: ['*'] };

function resolved(name: string, spec: VirtualServiceSpec, namespace = 'root'): VirtualService {
  return resolveVirtualService(object('VirtualService', name, spec, { namespace }), CONTEXT);
}

/** Merges a root whose one rule delegates to `team/d`. */
function merge(
  rootRule: HttpRoute,
  delegateRules: HttpRoute[],
  delegateSpec: VirtualServiceSpec = {},
): Delegation {
  const root = resolved('r', {
    hosts: ['a.example.com'],
    http: [{ delegate: { namespace: 'team', name: 'd' }, ...rootRule }],
  });
  const delegate = resolved('d', { http: delegateRules, ...delegateSpec }, 'team');
  return mergeDelegates(root, (key) => (key === 'team/d' ? delegate : undefined));
}

function routesOf(delegation: Delegation): readonly HttpRoute[] {
  return delegation.virtualService.http.map((rule) => rule.route);
}

const TO_A: HttpRoute = { route: [{ destination: { host: 'a.example.com' } }] };

test('a VirtualService without delegates stays as it is', () => {
  const root = resolved('r', { hosts: ['a.example.com'], http: [TO_A] });
  deepStrictEqual(
    mergeDelegates(root, () => undefined),
    { virtualService: root, diagnostics: [] },
  );
});

test('what the delegate leaves out comes from the root, and the rule is caused by the delegate', () => {
  const root: HttpRoute = {
    name: 'root',
    match: [{ uri: { prefix: '/p' } }],
    timeout: '3s',
    retries: { attempts: 1 },
  };
  const result = merge(root, [{ ...TO_A, name: 'inner', timeout: '1s' }]);
  deepStrictEqual(routesOf(result), [
    {
      ...TO_A,
      name: 'root-inner',
      match: [{ uri: { prefix: '/p' } }],
      timeout: '1s',
      retries: { attempts: 1 },
    },
  ]);
  deepStrictEqual(result.virtualService.http[0]?.cause, {
    kind: 'VirtualService',
    namespace: 'team',
    name: 'd',
    path: 'spec.http[0]',
  });
});

interface MatchCase {
  readonly title: string;
  readonly root: HttpMatch;
  readonly delegate: HttpMatch;
  /** The uri of the merged match; undefined when the delegate's rule is dropped. */
  readonly uri: HttpMatch['uri'];
}
const MATCH_CASES: readonly MatchCase[] = [
  {
    title: 'a longer prefix',
    root: { uri: { prefix: '/p' } },
    delegate: { uri: { prefix: '/p/q' } },
    uri: { prefix: '/p/q' },
  },
  {
    title: 'an exact path below',
    root: { uri: { prefix: '/p' } },
    delegate: { uri: { exact: '/p/q' } },
    uri: { exact: '/p/q' },
  },
  {
    title: 'another prefix',
    root: { uri: { prefix: '/p' } },
    delegate: { uri: { prefix: '/x' } },
    uri: undefined,
  },
  {
    title: 'a shorter prefix',
    root: { uri: { prefix: '/p/q' } },
    delegate: { uri: { prefix: '/p' } },
    uri: undefined,
  },
  {
    title: 'a prefix below an exact path',
    root: { uri: { exact: '/p' } },
    delegate: { uri: { prefix: '/p' } },
    uri: undefined,
  },
  {
    title: 'the same exact path',
    root: { uri: { exact: '/p' } },
    delegate: { uri: { exact: '/p' } },
    uri: { exact: '/p' },
  },
  {
    title: 'a regex below a prefix',
    root: { uri: { prefix: '/p' } },
    delegate: { uri: { regex: '/p.*' } },
    uri: undefined,
  },
  {
    title: 'no path of its own',
    root: { uri: { prefix: '/p' } },
    delegate: { method: { exact: 'GET' } },
    uri: { prefix: '/p' },
  },
  {
    title: 'another port',
    root: { uri: { prefix: '/p' }, port: 80 },
    delegate: { port: 81 },
    uri: undefined,
  },
  {
    title: 'another value of a header',
    root: { uri: { prefix: '/p' }, headers: { h: { exact: '1' } } },
    delegate: { headers: { h: { exact: '2' } } },
    uri: undefined,
  },
  {
    title: 'a gateway that the root has not',
    root: { uri: { prefix: '/p' }, gateways: ['root/g'] },
    delegate: { gateways: ['root/h'] },
    uri: undefined,
  },
  {
    title: 'another case rule',
    root: { uri: { prefix: '/p' } },
    delegate: { ignoreUriCase: true },
    uri: undefined,
  },
];
for (const { title, root, delegate, uri } of MATCH_CASES) {
  const fate = uri === undefined ? 'is dropped, with a finding' : 'is kept';
  test(`a delegate's match with ${title} ${fate}`, () => {
    const result = merge({ match: [root] }, [{ ...TO_A, match: [delegate] }]);
    deepStrictEqual(
      routesOf(result).map((route) => route.match?.[0]?.uri),
      uri === undefined ? [] : [uri],
    );
    deepStrictEqual(
      result.diagnostics.map((finding) => [finding.code, finding.resource?.name, finding.path]),
      uri === undefined ? [['LTN5002', 'd', 'spec.http[0]']] : [],
    );
  });
}

test('every pair of root and delegate match that agrees becomes a match', () => {
  const root = { match: [{ uri: { prefix: '/a' } }, { uri: { prefix: '/b' } }] };
  const [route] = routesOf(merge(root, [{ ...TO_A, match: [{ method: { exact: 'GET' } }] }]));
  deepStrictEqual(
    route?.match?.map((match) => [match.uri, match.method]),
    [
      [{ prefix: '/a' }, { exact: 'GET' }],
      [{ prefix: '/b' }, { exact: 'GET' }],
    ],
  );
});

test('a missing delegate costs its rule only', () => {
  const root = resolved('r', { hosts: ['a.example.com'], http: [{ delegate: { name: 'gone' } }, TO_A] });
  const result = mergeDelegates(root, () => undefined);
  deepStrictEqual(routesOf(result), [TO_A]);
  deepStrictEqual(
    result.diagnostics.map(({ code, args }) => [code, args]),
    [['IST0101', { reftype: 'delegate virtual service', refval: 'root/gone' }]],
  );
});

test('a delegate that is not exported to the root is left out', () => {
  const result = merge({}, [TO_A], { exportTo: ['.'] });
  deepStrictEqual(routesOf(result), []);
  deepStrictEqual(
    result.diagnostics.map((finding) => finding.code),
    ['LTN5001'],
  );
});

test('a delegate of a delegate is not followed', () => {
  const result = merge({}, [{ delegate: { name: 'further' } }, TO_A]);
  deepStrictEqual(routesOf(result).length, 1);
  deepStrictEqual(
    result.diagnostics.map((finding) => finding.code),
    ['LTN5003'],
  );
});
