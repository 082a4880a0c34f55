/** Policies are found by buckets exactly where a look at every one of them finds them. */
import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MeshObject } from '#api/mesh-object.ts';
import { createEngine } from '#collections/engine.ts';
import {
  type PolicySubject,
  type PolicyTargetSpec,
  policiesOf,
  policyBuckets,
  selectsWorkload,
} from './policy-target.ts';
import { object } from './service-model-rig.ts';

const GATEWAY_LABEL = 'gateway.networking.k8s.io/gateway-name';
const namespace = fc.constantFrom('a', 'b');
const labels = fc.dictionary(
  fc.constantFrom('app', 'version', '__proto__', 'constructor', GATEWAY_LABEL),
  fc.constantFrom('x', 'y', ''),
);
const target = fc.record({
  kind: fc.constantFrom('Gateway', 'Service'),
  name: fc.constantFrom('x', 'y'),
});
const spec: fc.Arbitrary<PolicyTargetSpec> = fc.oneof(
  fc.constant({}),
  labels.map((matchLabels) => ({ selector: { matchLabels } })),
  target.map((targetRef) => ({ targetRef })),
  fc.array(target, { maxLength: 3 }).map((targetRefs) => ({ targetRefs })),
);
const policies = fc.array(fc.tuple(namespace, spec), { maxLength: 12 });
const subject: fc.Arbitrary<PolicySubject> = fc.record({ namespace, labels });

test('buckets of policies and of workloads meet where selectors do', () => {
  fc.assert(
    fc.property(policies, subject, (drawn, workload) => {
      const engine = createEngine();
      const source = engine.source<MeshObject<PolicyTargetSpec>>('policies');
      const subjects = engine.source<PolicySubject>('subjects');
      const index = engine.index('index', source, policyBuckets);
      const found = engine.derive('found', subjects, (fetch, { namespace: own }) =>
        policiesOf(fetch, index, own, workload)
          .map(({ name }) => name)
          .sort(),
      );
      const objects = drawn.map(([where, of], i) => ({ ...object('Policy', `p${i}`, of), namespace: where }));
      for (const one of objects) source.set(one.name, one);
      subjects.set('one', workload);
      engine.settle();
      const selecting = objects.filter(
        (one) => one.namespace === workload.namespace && selectsWorkload(one, workload),
      );
      deepStrictEqual(found.get('one'), selecting.map(({ name }) => name).sort());
    }),
  );
});
