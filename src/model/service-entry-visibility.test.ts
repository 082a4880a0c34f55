import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { ServiceEntryVisibilityJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { Visibility } from './service.ts';
import { cappedVisibility } from './service-entry-visibility.ts';

const EVERYBODY: Visibility = { public: true, namespaces: [] };
const HOME: Visibility = { public: false, namespaces: ['home'] };
const NOBODY: Visibility = { public: false, namespaces: [] };
const ELSEWHERE: Visibility = { public: false, namespaces: ['else'] };
const PER_NAMESPACE: ServiceEntryVisibilityJson = {
  applyToSidecars: true,
  defaultVisibility: 'NAMESPACE',
  policies: [
    {
      visibility: 'PUBLIC',
      matchingRules: [{ namespaceSelector: { matchLabels: { shares: 'yes' } } }],
    },
  ],
};

const CASES: readonly (readonly [string, ServiceEntryVisibilityJson | undefined, Visibility, Visibility])[] =
  [
    ['nothing is said', undefined, EVERYBODY, EVERYBODY],
    ['it is not for sidecars', { defaultVisibility: 'NONE' }, EVERYBODY, EVERYBODY],
    ['only the own namespace may see it', PER_NAMESPACE, EVERYBODY, HOME],
    ['the own namespace was not to see it', PER_NAMESPACE, ELSEWHERE, NOBODY],
    ['nobody may', { applyToSidecars: true, defaultVisibility: 'NONE' }, EVERYBODY, NOBODY],
    [
      'a policy without rules fits all',
      { ...PER_NAMESPACE, policies: [{ visibility: 'NONE' }] },
      HOME,
      NOBODY,
    ],
    [
      'a rule without a selector fits none',
      { ...PER_NAMESPACE, policies: [{ matchingRules: [{}] }] },
      EVERYBODY,
      HOME,
    ],
  ];

for (const [sentence, setting, wanted, expected] of CASES) {
  test(`visibility of a ServiceEntry where ${sentence}`, () => {
    deepStrictEqual(cappedVisibility(wanted, setting, { name: 'home', labels: {} }), expected);
  });
}

test('labels of the namespace choose the policy', () => {
  const namespace = { name: 'home', labels: { shares: 'yes' } };
  deepStrictEqual(cappedVisibility(EVERYBODY, PER_NAMESPACE, namespace), EVERYBODY);
});
