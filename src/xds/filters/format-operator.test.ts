import assert from 'node:assert/strict';
import { it } from 'node:test';
import { constant, formatOperators, type Operator } from './format-operator.ts';

const CASES: readonly (readonly [readonly Operator[], string])[] = [
  [[{ command: 'UPSTREAM_CLUSTER_RAW' }], '%UPSTREAM_CLUSTER_RAW%'],
  [[{ command: 'ENVIRONMENT', param: 'A' }], '%ENVIRONMENT(A)%'],
  [[{ command: 'REQ', param: 'a', maxLength: 9 }], '%REQ(a):9%'],
  [
    [{ command: 'REQ', param: 'a', maxLength: 9 }, constant('unknown')],
    '%COALESCE({"operators":[{"command":"REQ","param":"a","max_length":9},{"command":"START_TIME","param":"unknown"}]})%',
  ],
];

for (const [operators, text] of CASES) {
  it(`writes ${text}`, () => assert.equal(formatOperators(operators), text));
}
