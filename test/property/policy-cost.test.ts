/** What a changed policy costs in a mesh of many: the workloads that it selects, and nothing for the others. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { before, test } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import { decodeAll, type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';

const WORKLOADS = 100;
const POLICIES_EACH = 10;
const NAMESPACES = 2;

const namespaceOf = (workload: number): string => `ns-${workload % NAMESPACES}`;

function one(document: object): MeshObject {
  const [object] = decodeAll(document);
  if (object === undefined) throw new Error('nothing was decoded');
  return object;
}

function authorization(workload: number, nth: number, path: string): MeshObject {
  return one({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: `p-${workload}-${nth}`, namespace: namespaceOf(workload) },
    spec: {
      selector: { matchLabels: { app: `app-${workload}` } },
      rules: [{ to: [{ operation: { paths: [path] } }] }],
    },
  });
}

function authentication(workload: number, audience: string): MeshObject {
  return one({
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: `r-${workload}`, namespace: namespaceOf(workload) },
    spec: {
      selector: { matchLabels: { app: `app-${workload}` } },
      jwtRules: [{ issuer: 'https://issuer', audiences: [audience], jwks: '{"keys":[]}' }],
    },
  });
}

const fixture: MeshFixture = meshFixture();

/** Names of proxies that got something new, and how many derivations ran. */
function costOf(...objects: readonly MeshObject[]) {
  const { engine, graph } = fixture.mesh;
  const before = engine.counters.recomputed;
  const changed: string[] = [];
  const watch = engine.watch(graph.snapshots, (changes) => {
    for (const { key } of changes) changed.push(fixture.mesh.proxies.get(key)?.name ?? '');
  });
  fixture.set(...objects);
  fixture.settle();
  watch[Symbol.dispose]();
  return { changed: changed.sort(), recomputed: engine.counters.recomputed - before };
}

before(() => {
  for (let workload = 0; workload < WORKLOADS; workload++) {
    fixture.connect({
      name: `app-${workload}`,
      namespace: namespaceOf(workload),
      ip: `10.0.0.${workload + 1}`,
      labels: { app: `app-${workload}`, version: 'v1' },
    });
    for (let nth = 0; nth < POLICIES_EACH; nth++) fixture.set(authorization(workload, nth, '/a'));
    fixture.set(authentication(workload, 'a'));
  }
  fixture.settle();
});

test('an AuthorizationPolicy with a selector costs the workload that it selects', () => {
  const { changed, recomputed } = costOf(authorization(7, 3, '/b'));
  deepStrictEqual(changed, ['app-7']);
  // The object's admission, the workload's policies, its listeners, and its snapshot.
  ok(recomputed <= 6, `${recomputed} derivations`);
});

test('a RequestAuthentication with a selector costs the workload that it selects', () => {
  const { changed, recomputed } = costOf(authentication(8, 'b'));
  deepStrictEqual(changed, ['app-8']);
  ok(recomputed <= 7, `${recomputed} derivations`);
});

test('a policy that selects nobody costs its own admission', () => {
  const { changed, recomputed } = costOf(authorization(WORKLOADS + 1, 0, '/a'));
  deepStrictEqual(changed, []);
  ok(recomputed <= 2, `${recomputed} derivations`);
});

test('a policy without a selector costs its namespace', () => {
  const { metadata, ...rest } = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'all', namespace: 'ns-1' },
    spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/none'] } }] }] },
  };
  const { changed } = costOf(one({ metadata, ...rest }));
  deepStrictEqual(changed.length, WORKLOADS / NAMESPACES);
});
