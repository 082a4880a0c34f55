/** One leads, another takes over when it is gone, and nobody trusts another's clock. */
import { deepStrictEqual, match, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { systemClock, TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { ApiServerFixture } from './api-server-fixture.ts';
import { KubeClient } from './kube-client.ts';
import { LeaderElection } from './leader-election.ts';

const LEASES = { group: 'coordination.k8s.io', plural: 'leases' };
const KEY = 'istio-system/istio-leader';
/** A quarter of a lease. */
const STEP_MS = 7_500;

interface Rig extends AsyncDisposable {
  readonly server: ApiServerFixture;
  readonly clock: TestClock;
  elect(holder: string): LeaderElection;
  /** Lets time pass, and every election have its turn. */
  step(): Promise<void>;
  leaders(): readonly string[];
  spec(): Readonly<Record<string, unknown>>;
}

async function openRig(): Promise<Rig> {
  const server = new ApiServerFixture();
  await server.start();
  const client = new KubeClient(server.target, { clock: systemClock(), env: {}, userAgent: 'test' });
  const clock = new TestClock(Date.UTC(2026, 0, 1));
  const elections = new Map<string, LeaderElection>();
  let underWay = 0;
  const counting = (call: (get: never) => Promise<unknown>) => (get: never) => {
    underWay += 1;
    return call(get).finally(() => (underWay -= 1));
  };
  const counted = {
    getJson: counting((get) => client.getJson(get)),
    postJson: counting((get) => client.postJson(get)),
    putJson: counting((get) => client.putJson(get)),
  } as Pick<KubeClient, 'getJson' | 'postJson' | 'putJson'>;
  /** Calls follow one another within a turn: quiet is when none is under way after a turn without one. */
  const quiet = async (): Promise<void> => {
    const limitMs = performance.now() + 10_000;
    for (let turns = 0; turns < 3; turns = underWay === 0 ? turns + 1 : 0) {
      if (performance.now() > limitMs) throw new Error('calls do not end');
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return {
    server,
    clock,
    elect(holder) {
      const options = { namespace: 'istio-system', name: 'istio-leader', holder, log: silentLogger() };
      const election = new LeaderElection({ ...options, client: counted, clock });
      elections.set(holder, election);
      election.start();
      return election;
    },
    async step() {
      await quiet();
      clock.advance(STEP_MS);
      await quiet();
    },
    leaders: () => [...elections].filter(([, { isLeader }]) => isLeader).map(([holder]) => holder),
    spec: () => server.get(LEASES, KEY)?.['spec'] as Readonly<Record<string, unknown>>,
    async [Symbol.asyncDispose]() {
      for (const election of elections.values()) await election[Symbol.asyncDispose]();
      client[Symbol.dispose]();
      await server.stop();
    },
  };
}

test('the first one leads; the next one leads at once when it lets go', async () => {
  await using rig = await openRig();
  const first = rig.elect('a');
  await rig.step();
  rig.elect('b');
  await rig.step();
  deepStrictEqual(rig.leaders(), ['a']);
  match(String(rig.spec()['renewTime']), /^2026-01-01T00:00:\d\d\.\d{6}Z$/);
  await first[Symbol.asyncDispose]();
  strictEqual(rig.spec()['holderIdentity'], '');
  await rig.step();
  deepStrictEqual([rig.leaders(), rig.spec()['leaseTransitions']], [['b'], 1]);
});

test('a holder that is gone is waited for as long as its lease is, by our own clock', async () => {
  await using rig = await openRig();
  const spec = {
    holderIdentity: 'gone',
    leaseDurationSeconds: 30,
    renewTime: '1999-01-01T00:00:00.000000Z',
    leaseTransitions: 4,
  };
  rig.server.put(LEASES, { metadata: { namespace: 'istio-system', name: 'istio-leader' }, spec });
  rig.elect('a');
  const seen = [];
  for (let step = 0; step < 5; step++) {
    await rig.step();
    seen.push(rig.leaders().join());
  }
  // Seen first at once; 30 s later it is free.
  deepStrictEqual([seen, rig.spec()['leaseTransitions']], [['', '', '', 'a', 'a'], 5]);
});

test('whoever cannot renew stops to lead before another may', async () => {
  await using rig = await openRig();
  const told: boolean[] = [];
  const election = rig.elect('a');
  election.watch(() => told.push(election.isLeader));
  await rig.step();
  strictEqual(election.isLeader, true);
  rig.server.forbidden.add('leases.coordination.k8s.io');
  await rig.step();
  strictEqual(election.isLeader, true);
  await rig.step();
  await rig.step();
  deepStrictEqual([election.isLeader, told], [false, [true, false]]);
});

test('of several that start together one leads, and the others stay behind', async () => {
  await using rig = await openRig();
  for (const holder of ['a', 'b', 'c']) rig.elect(holder);
  await rig.step();
  await rig.step();
  strictEqual(rig.leaders().length, 1);
  strictEqual(rig.spec()['holderIdentity'], rig.leaders()[0]);
});
