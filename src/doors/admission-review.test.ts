import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { answerReview } from './admission-review.ts';

const ROUTE = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'a', namespace: 'default' },
  spec: { hosts: ['a.example.com'], http: [{ route: [{ destination: { host: 'a.example.com' } }] }] },
};
const RESOURCE = { group: 'networking.istio.io', version: 'v1', resource: 'virtualservices' };

function review(object: unknown, more: object = {}): string {
  const request = {
    uid: 'u-1',
    operation: 'CREATE',
    namespace: 'default',
    resource: RESOURCE,
    object,
    ...more,
  };
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
}

interface Response {
  readonly uid: string;
  readonly allowed: boolean;
  readonly warnings?: readonly string[];
  readonly status?: { readonly code: number; readonly message: string };
}

function responseTo(body: string): Response {
  const answer = answerReview(body);
  strictEqual(answer.status, 200, answer.body);
  return (JSON.parse(answer.body) as { response: Response }).response;
}

test('a good object is let through, in the version and with the id of the question', () => {
  const { body, verdict } = answerReview(review(ROUTE));
  deepStrictEqual(JSON.parse(body), {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: 'u-1', allowed: true },
  });
  deepStrictEqual(verdict, { outcome: 'passed', ...RESOURCE, reason: '', isDryRun: false });
});

test('what is wrong with an object is said with code, field and cure', () => {
  const spec = { ...ROUTE.spec, http: [{ route: [{ destination: { host: 'a' }, weight: -1 }] }] };
  const { allowed, status } = responseTo(review({ ...ROUTE, spec }));
  strictEqual(allowed, false);
  match(status?.message ?? '', /^configuration is invalid: LTN\d+ spec\.http\[0\]\.route\[0\]/);
});

test('a warning does not refuse', () => {
  const spec = {
    hosts: ['a.example.com'],
    http: [
      {
        match: [{ uri: { prefix: '/a' } }, { uri: { prefix: '/a' } }],
        route: [{ destination: { host: 'a' } }],
      },
    ],
  };
  const { allowed, warnings = [] } = responseTo(review({ ...ROUTE, spec }));
  deepStrictEqual([allowed, warnings.length > 0], [true, true]);
});

const REASONS: readonly (readonly [string, string, boolean, string])[] = [
  ['what is deleted needs no check', review(null, { operation: 'DELETE' }), true, 'unsupported_operation'],
  ['a review without an object', review(undefined), false, 'yaml_decode_error'],
  [
    'a kind that is not ours',
    review({ ...ROUTE, kind: 'Deployment', apiVersion: 'apps/v1' }),
    false,
    'unknown_type',
  ],
  ['a Service, which others judge', review({ apiVersion: 'v1', kind: 'Service' }), false, 'unknown_type'],
  ['a field that objects do not have', review({ ...ROUTE, data: {} }), false, 'invalid_resource'],
  ['a version that came after us', review({ ...ROUTE, apiVersion: 'networking.istio.io/v9' }), true, ''],
];

for (const [name, body, allowed, reason] of REASONS) {
  test(`${name}: ${allowed ? 'let through' : 'refused'}`, () => {
    deepStrictEqual([responseTo(body).allowed, answerReview(body).verdict.reason], [allowed, reason]);
  });
}

test('labels of metrics are names that are known, whatever a caller writes', () => {
  const resource = { group: 'a'.repeat(100), version: 'v1', resource: 'virtualservices' };
  const { group, version, resource: plural } = answerReview(review(ROUTE, { resource })).verdict;
  deepStrictEqual([group, version, plural], ['unknown', 'unknown', 'unknown']);
});

const DEPTH = 100_000;
const NO_REVIEWS: readonly (readonly [string, string])[] = [
  ['no JSON', 'kind: AdmissionReview'],
  ['another version', review(ROUTE).replace('admission.k8s.io/v1', 'admission.k8s.io/v9')],
  ['nothing asked', '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}'],
  ['nested a hundred thousand deep', `${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}`],
];

for (const [name, body] of NO_REVIEWS) {
  test(`no review: ${name} (T27)`, () => strictEqual(answerReview(body).status, 400));
}

test('an object that is nested a hundred thousand deep, or has a huge expression, is refused (T27)', () => {
  const deep = `{"a":${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}}`;
  const nested = review({ ...ROUTE, spec: 'SPEC' }).replace('"SPEC"', deep);
  strictEqual(responseTo(nested).allowed, false);
  const free = review({
    ...ROUTE,
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    spec: 'SPEC',
  });
  const patch = `{"configPatches":[{"applyTo":"CLUSTER","patch":{"operation":"MERGE","value":${deep}}}]}`;
  strictEqual(responseTo(free.replace('"SPEC"', patch)).allowed, false);
  const uri = { regex: '(a+)+'.repeat(50_000) };
  const http = [{ match: [{ uri }], route: [{ destination: { host: 'a' } }] }];
  strictEqual(responseTo(review({ ...ROUTE, spec: { hosts: ['a'], http } })).allowed, false);
});
