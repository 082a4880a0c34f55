import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import { defaultMeshProxyConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Replica } from './replica.ts';
import { type DesiredWorkload, WorkloadRollout } from './workload-rollout.ts';

interface FakeReplica {
  ready: boolean;
  isStopping: boolean;
  readonly command: string;
  readonly plan: { readonly replica: number };
  readonly changed: () => void;
  readonly gone: () => Promise<void>;
}

function desired(command: string, replicas: number, type: 'app' | 'gateway' = 'app'): DesiredWorkload {
  const spec: LocalWorkloadSpec = {
    type,
    labels: {},
    annotations: {},
    serviceAccount: 'default',
    command: [command],
    args: [],
    env: [],
    workingDir: '',
    ports: [],
    replicas,
    bind: '',
  };
  const object: MeshObject<LocalWorkloadSpec> = {
    kind: 'LocalWorkload',
    apiVersion: 'lateen.dev/v1alpha1',
    namespace: 'default',
    name: 'w',
    labels: {},
    annotations: {},
    createdAtMs: 0,
    hash: '',
    spec,
  };
  return { object, workingDir: '/', proxyConfig: defaultMeshProxyConfig(), mergesMetrics: true };
}

/** A rollout over fake replicas; `state` shows `number:command`, with + when ready and - when stopping. */
function rig() {
  const fakes: FakeReplica[] = [];
  const rollout = new WorkloadRollout({
    start(wanted, replica, changed) {
      const stopped = Promise.withResolvers<void>();
      const fake: FakeReplica = {
        ready: false,
        isStopping: false,
        command: wanted.object.spec.command[0] ?? '',
        plan: { replica },
        changed,
        gone: async () => {
          stopped.resolve();
          await new Promise(setImmediate);
        },
      };
      fakes.push(fake);
      Object.assign(fake, { stopped: stopped.promise });
      return fake as unknown as Replica;
    },
    retire(replica) {
      const fake = replica as unknown as FakeReplica & { readonly stopped: Promise<void> };
      fake.isStopping = true;
      fake.ready = false;
      return fake.stopped;
    },
  });
  const all = (): FakeReplica[] => rollout.replicas as unknown as FakeReplica[];
  return {
    rollout,
    state: () =>
      all().map(
        (one) => `${one.plan.replica}:${one.command}${one.ready ? '+' : ''}${one.isStopping ? '-' : ''}`,
      ),
    ready(number: number): void {
      const fake = all().find((one) => one.plan.replica === number && !one.isStopping);
      if (fake === undefined) throw new Error(`no replica ${number}`);
      fake.ready = true;
      fake.changed();
    },
    async gone(number: number): Promise<void> {
      await all()
        .find((one) => one.plan.replica === number && one.isStopping)
        ?.gone();
    },
  };
}

test('all replicas of a new workload start at once', () => {
  const { rollout, state } = rig();
  rollout.update(desired('a', 3));
  deepStrictEqual(state(), ['0:a', '1:a', '2:a']);
});

test('a change replaces replicas one by one, each new one ready before an old one goes', async () => {
  const { rollout, state, ready, gone } = rig();
  rollout.update(desired('a', 2));
  ready(0);
  ready(1);
  rollout.update(desired('b', 2));
  deepStrictEqual(state(), ['0:a+', '1:a+', '2:b']);
  ready(2);
  deepStrictEqual(state(), ['0:a+', '1:a-', '2:b+', '3:b']);
  await gone(1);
  ready(3);
  deepStrictEqual(state(), ['0:a-', '2:b+', '3:b+']);
  await gone(0);
  deepStrictEqual(state(), ['2:b+', '3:b+']);
});

test('a change of what the proxies are started with replaces replicas, an equal value does not', () => {
  const { rollout, state, ready } = rig();
  rollout.update(desired('a', 1));
  ready(0);
  rollout.update({ ...desired('a', 1), proxyConfig: defaultMeshProxyConfig() });
  deepStrictEqual(state(), ['0:a+']);
  rollout.update({ ...desired('a', 1), proxyConfig: { ...defaultMeshProxyConfig(), concurrency: 2 } });
  deepStrictEqual(state(), ['0:a+', '1:a']);
});

test('a change that never becomes ready leaves the old replica at work', () => {
  const { rollout, state, ready } = rig();
  rollout.update(desired('a', 1));
  ready(0);
  rollout.update(desired('broken', 1));
  deepStrictEqual(state(), ['0:a+', '1:broken']);
  rollout.update(desired('good', 1));
  deepStrictEqual(state(), ['0:a+', '1:broken-', '2:good']);
});

test('an old replica that is not ready goes at once', () => {
  const { rollout, state } = rig();
  rollout.update(desired('a', 1));
  rollout.update(desired('b', 1));
  deepStrictEqual(state(), ['0:a-', '1:b']);
});

test('a change of the count alone starts and stops, and replaces nothing', async () => {
  const { rollout, state, ready, gone } = rig();
  rollout.update(desired('a', 1));
  ready(0);
  rollout.update(desired('a', 3));
  deepStrictEqual(state(), ['0:a+', '1:a', '2:a']);
  ready(1);
  rollout.update(desired('a', 1));
  deepStrictEqual(state(), ['0:a+', '1:a-', '2:a-']);
  await gone(1);
  await gone(2);
  deepStrictEqual(state(), ['0:a+']);
});

test('a gateway, whose ports are taken, goes before its successor comes', async () => {
  const { rollout, state, ready, gone } = rig();
  rollout.update(desired('a', 1, 'gateway'));
  ready(0);
  rollout.update(desired('b', 1, 'gateway'));
  deepStrictEqual(state(), ['0:a-']);
  await gone(0);
  deepStrictEqual(state(), ['0:b']);
});

test('a workload that was removed stops, and one that comes back starts again', async () => {
  const { rollout, state, ready, gone } = rig();
  rollout.update(desired('a', 1));
  ready(0);
  rollout.update(undefined);
  deepStrictEqual(state(), ['0:a-']);
  rollout.update(desired('a', 1));
  deepStrictEqual(state(), ['0:a-', '1:a']);
  await gone(0);
  deepStrictEqual(state(), ['1:a']);
});
