import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { resourceFilter } from './resource-filter.ts';

const RESOURCES = [
  'gateways.networking.istio.io',
  'wasmplugins.extensions.istio.io',
  'gateways.gateway.networking.k8s.io',
];

const CASES: readonly (readonly [string, readonly string[], readonly string[], readonly boolean[]])[] = [
  ['everything is read as a rule', [], [], [true, true, true]],
  ['a resource is ignored by its name', ['gateways.networking.istio.io'], [], [false, true, true]],
  ['a group is ignored by its end', ['*.istio.io'], [], [false, false, true]],
  [
    'what is included is read all the same',
    ['*.istio.io'],
    ['wasmplugins.extensions.istio.io'],
    [false, true, true],
  ],
];

for (const [sentence, ignored, included, expected] of CASES) {
  test(sentence, () => deepStrictEqual(RESOURCES.map(resourceFilter(ignored, included)), expected));
}
