import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { type JsonObject, toJson } from '@bufbuild/protobuf';
import type { HttpRetry } from '#api/virtual-service.ts';
import { RetryPolicySchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { buildInboundRetryPolicy, buildRetryPolicy } from './retry.ts';

const OTHER_HOSTS = [
  {
    name: 'envoy.retry_host_predicates.previous_hosts',
    typedConfig: {
      '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
    },
  },
];
const DEFAULT = {
  retryOn: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes',
  numRetries: 2,
  retryHostPredicate: OTHER_HOSTS,
  hostSelectionRetryMaxAttempts: '5',
};
const SAME_HOST = { ...DEFAULT, retryHostPredicate: undefined };

interface RetryCase {
  readonly title: string;
  readonly retries: HttpRetry | undefined;
  readonly consistentHash?: boolean;
  readonly expected: object | undefined;
}
const CASES: readonly RetryCase[] = [
  { title: 'nothing asked for: two attempts on other hosts', retries: undefined, expected: DEFAULT },
  {
    title: 'a consistent hash keeps the host',
    retries: undefined,
    consistentHash: true,
    expected: SAME_HOST,
  },
  { title: 'no attempts: no policy', retries: { attempts: 0 }, expected: undefined },
  { title: 'unset attempts: no policy', retries: { retryOn: '5xx' }, expected: undefined },
  {
    title: 'status codes among conditions go to their own list',
    retries: { attempts: 3, retryOn: 'gateway-error, 503,429 ,999' },
    expected: {
      ...DEFAULT,
      numRetries: 3,
      retryOn: 'gateway-error,999,retriable-status-codes',
      retriableStatusCodes: [503, 429],
    },
  },
  {
    title: 'time limits, back-off and other localities',
    retries: { attempts: 1, perTryTimeout: '2s', backoff: '0.5s', retryRemoteLocalities: true },
    expected: {
      ...DEFAULT,
      numRetries: 1,
      perTryTimeout: '2s',
      retryBackOff: { baseInterval: '0.500s' },
      retryPriority: {
        name: 'envoy.retry_priorities.previous_priorities',
        typedConfig: {
          '@type':
            'type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig',
          updateFrequency: 2,
        },
      },
    },
  },
  {
    title: 'the same host on demand',
    retries: { attempts: 2, retryIgnorePreviousHosts: false },
    expected: SAME_HOST,
  },
  {
    title: 'other hosts on demand, even under a hash',
    retries: { attempts: 2, retryIgnorePreviousHosts: true },
    consistentHash: true,
    expected: DEFAULT,
  },
];
for (const { title, retries, consistentHash = false, expected } of CASES) {
  test(`retries: ${title}`, () => {
    const policy = buildRetryPolicy(retries, consistentHash);
    const actual = policy && (toJson(RetryPolicySchema, policy, { registry: envoyRegistry() }) as JsonObject);
    deepStrictEqual(actual, expected && JSON.parse(JSON.stringify(expected)));
  });
}

test('towards the application only what it never began is tried again, unless the mesh says otherwise', () => {
  const policies = [
    undefined,
    { attempts: 0 },
    { attempts: 3, retryOn: '5xx,503', backoff: '1s', perTryTimeout: '9s' },
  ];
  const shapes = policies.map(buildInboundRetryPolicy).map(
    (policy) =>
      policy && {
        on: policy.retryOn,
        times: policy.numRetries,
        codes: policy.retriableStatusCodes,
        backoff: policy.retryBackOff?.baseInterval?.seconds,
        perTry: policy.perTryTimeout,
        predicates: policy.retryHostPredicate.length,
      },
  );
  const plain = { codes: [], backoff: undefined, perTry: undefined, predicates: 0 };
  deepStrictEqual(shapes, [
    { ...plain, on: 'reset-before-request', times: 2 },
    undefined,
    { ...plain, on: '5xx,retriable-status-codes', times: 3, codes: [503], backoff: 1n },
  ]);
});
