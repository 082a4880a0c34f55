/**
 * The xDS server against a stock Envoy: the facts that the client model is built on, and that nothing is lost or left waiting when
 * configuration changes under traffic.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  assignment,
  edsCluster,
  EnvoyRig,
  freePort,
  httpGet,
  listener,
  route,
  until,
} from './ads-envoy-rig.ts';

/** A second is what waiting for the answer to CDS would cost. */
const PROMPT_MS = 800;

async function startedRig(apiType: 'DELTA_GRPC' | 'GRPC') {
  const rig = new EnvoyRig();
  const [a, b] = [await rig.upstream('A'), await rig.upstream('B')];
  const port = await freePort();
  rig.publish(edsCluster('c1'), assignment('c1', a), listener('l', port, 'r'), route('r', 'c1'));
  await rig.start(apiType);
  await until('Envoy to serve', () =>
    httpGet(port).then(
      ({ body }) => body === 'A',
      () => false,
    ),
  );
  await rig.synced();
  return { rig, a, b, port };
}

async function promptly(what: string, run: () => Promise<void>): Promise<void> {
  const startMs = performance.now();
  await run();
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs < PROMPT_MS, `${what} took ${Math.round(tookMs)} ms`);
}

for (const apiType of ['DELTA_GRPC', 'GRPC'] as const) {
  test(`${apiType}: an Envoy starts, and serves what it was given`, async () => {
    const { rig } = await startedRig(apiType);
    await using _ = rig;
    assert.deepStrictEqual(rig.pushes, ['cds', 'eds', 'lds', 'rds']);
    assert.deepStrictEqual(rig.nacks, []);
  });

  test(`${apiType}: a changed cluster whose endpoints stay is warm at once`, async () => {
    const { rig, a, port } = await startedRig(apiType);
    await using _ = rig;
    rig.pushes.length = 0;
    await promptly('the change', async () => {
      rig.publish(edsCluster('c1', 2_000), assignment('c1', a), listener('l', port, 'r'), route('r', 'c1'));
      await rig.synced();
    });
    assert.deepStrictEqual(rig.pushes, ['cds', 'eds']);
    assert.equal(await rig.stat('cluster_manager.warming_clusters'), 0);
  });

  test(`${apiType}: traffic moves to new clusters and back, and no request is lost`, async () => {
    const { rig, a, b, port } = await startedRig(apiType);
    await using _ = rig;
    const answers = new Map<string, number>();
    let isOver = false;
    let answered = Promise.withResolvers<void>();
    const load = (async () => {
      while (!isOver) {
        const { status, body } = await httpGet(port).catch((error: Error) => ({
          status: 0,
          body: error.message,
        }));
        const key = status === 200 ? body : `${status} ${body}`;
        answers.set(key, (answers.get(key) ?? 0) + 1);
        answered.resolve();
        answered = Promise.withResolvers();
      }
    })();
    for (let i = 0; i < 6; i++) {
      const [name, upstream, body] = i % 2 === 0 ? (['c2', b, 'B'] as const) : (['c1', a, 'A'] as const);
      const before = answers.get(body) ?? 0;
      // Every other change also replaces the listener and its route.
      const routeName = `r${Math.floor(i / 2)}`;
      await promptly('the move', async () => {
        rig.publish(
          edsCluster(name),
          assignment(name, upstream),
          listener('l', port, routeName),
          route(routeName, name),
        );
        await rig.synced();
        while ((answers.get(body) ?? 0) === before) await answered.promise;
      });
    }
    isOver = true;
    await load;
    assert.deepStrictEqual([...answers.keys()].sort(), ['A', 'B']);
    assert.deepStrictEqual(rig.nacks, []);
  });
}

test('a new stream of an Envoy that has everything is sent nothing', async () => {
  const { rig } = await startedRig('DELTA_GRPC');
  await using _ = rig;
  rig.pushes.length = 0;
  rig.reconnect();
  await until('Envoy to come back', () => rig.ads.connections.size === 1);
  await rig.synced();
  assert.deepStrictEqual(rig.pushes, []);
});

test('a cluster whose endpoints nobody knows does not hold up the others', async () => {
  const { rig, a, port } = await startedRig('DELTA_GRPC');
  await using _ = rig;
  await promptly('the change', async () => {
    const known = [edsCluster('c1'), assignment('c1', a), listener('l', port, 'r'), route('r', 'c1')];
    rig.publish(...known, edsCluster('nowhere'));
    await rig.synced();
  });
  assert.equal(await rig.stat('cluster_manager.warming_clusters'), 0);
});

test('a refused resource harms only itself, and its correction is taken', async () => {
  const { rig, a, port } = await startedRig('DELTA_GRPC');
  await using _ = rig;
  const good = [edsCluster('c1'), assignment('c1', a), listener('l', port, 'r'), route('r', 'c1')];
  const refused = {
    ...edsCluster('c3'),
    bytes: Buffer.from([0x0a, 2, 0x63, 0x33, 0x10, 99]),
    version: 'bad',
  };
  rig.publish(...good, edsCluster('c2'), assignment('c2', a), refused);
  await until('the refusal', () => rig.nacks.length > 0);
  await rig.synced();
  assert.deepStrictEqual(
    rig.nacks[0]?.suspects.map(({ resource }) => resource.name),
    ['c3'],
  );
  assert.equal((await httpGet(port)).body, 'A');
  assert.ok((await rig.admin('/clusters')).includes('c2::'));
  rig.publish(...good, edsCluster('c2'), assignment('c2', a), edsCluster('c3'), assignment('c3', a));
  await rig.synced();
  assert.ok((await rig.admin('/clusters')).includes('c3::'));
});
