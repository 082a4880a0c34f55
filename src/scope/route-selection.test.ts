import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { HttpMatch, HttpRoute } from '#api/virtual-service.ts';
import { object } from '#model/service-model-rig.ts';
import type { VirtualService } from '#model/virtual-service.ts';
import { resolveVirtualService } from '#model/virtual-service-resolution.ts';
import { type RouteAsker, selectRules, sourceLabelPairs } from './route-selection.ts';

const ASKER: RouteAsker = { port: 80, gateway: 'mesh', namespace: 'default', labels: { app: 'web' } };

function withRules(...http: HttpRoute[]): VirtualService {
  const context = { clusterDomain: 'cluster.local', defaultExportTo: ['*'] };
  return resolveVirtualService(object('VirtualService', 'vs', { hosts: ['a'], http }), context);
}

const MATCHES: readonly (readonly [string, HttpMatch, boolean])[] = [
  ['no condition on the client', { uri: { exact: '/' } }, true],
  ['its port', { port: 80 }, true],
  ['another port', { port: 81 }, false],
  ['labels that the client has', { sourceLabels: { app: 'web' } }, true],
  ['labels that it lacks', { sourceLabels: { app: 'web', version: 'v1' } }, false],
  ['a label named like a property of all objects', { sourceLabels: { constructor: 'x' } }, false],
  ['its namespace', { sourceNamespace: 'default' }, true],
  ['another namespace', { sourceNamespace: 'other' }, false],
  ['its gateway', { gateways: ['mesh'] }, true],
  ['another gateway', { gateways: ['default/g'] }, false],
  ['its gateway, whatever the labels', { gateways: ['mesh'], sourceLabels: { app: 'other' } }, true],
];
for (const [title, match, applies] of MATCHES) {
  test(`a match on ${title} ${applies ? 'applies' : 'does not apply'}`, () => {
    deepStrictEqual(selectRules(withRules({ match: [match] }), ASKER).length, applies ? 1 : 0);
  });
}

test('a rule without matches ends the list', () => {
  const object = withRules({ name: 'a', match: [{ port: 80 }, { port: 81 }] }, { name: 'b' }, { name: 'c' });
  deepStrictEqual(
    selectRules(object, ASKER).map(({ rule, matchPath }) => [rule.route.name, matchPath]),
    [
      ['a', '.match[0]'],
      ['b', ''],
    ],
  );
});

test('the label pairs that rules ask for are listed once', () => {
  const object = withRules(
    { match: [{ sourceLabels: { app: 'web' } }, { sourceLabels: { app: 'web', v: '1' } }] },
    {},
  );
  deepStrictEqual(sourceLabelPairs(object), ['app=web', 'v=1']);
});
