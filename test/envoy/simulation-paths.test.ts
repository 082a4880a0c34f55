/**
 * What the simulator makes of a path is what Envoy makes of it, under each way of normalising paths: random paths of all that is
 * special in one, and Envoy's own word on what became of them.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { simulateAtProxy } from '#simulation/simulate.ts';
import { decodeAll, meshFixture } from '../support/mesh-fixture.ts';
import { actualSight, expectedSight } from './simulation-agreement.ts';
import { SimulationApp } from './simulation-app.ts';
import { simulatedProxy } from './simulation-case.ts';
import { Draw } from './simulation-draw.ts';
import { fixedManifests, listenEverywhere, WORKLOAD, WORKLOAD_ADDRESS } from './simulation-mesh.ts';
import { type RigCall, SimulationRig } from './simulation-rig.ts';

const MODES = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const;
const PATHS_PER_MODE = process.env['LATEEN_LONG'] === '1' ? 5_000 : 300;
const MOST_PIECES = 7;
const PIECES =
  `/ / / // \\ . .. /./ /../ %2e %2E%2e .%2e %2f %2F %5c %5C %252f a B %61 %7E ~ %zz % %0 %00 ;p=1 " < > | ^ \` { } [ ] ! * ' ( @ : = + , %20 %C3%A9 ? ?q=%2f../.. #f # ?a#b &`.split(
    ' ',
  );

let rig: SimulationRig;
let app: SimulationApp;

before(async () => {
  rig = await SimulationRig.start();
  app = new SimulationApp();
  await listenEverywhere(app);
});

after(async () => {
  await app[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

function randomPath(draw: Draw): string {
  const pieces = Array.from({ length: draw.int(MOST_PIECES + 1) }, () => draw.one(PIECES));
  return `/${pieces.join('')}`;
}

function toCall(path: string, index: number): RigCall {
  const group = index % 16;
  const connection = {
    sourceAddress: WORKLOAD_ADDRESS,
    sourcePort: 2000 + group,
    address: '127.88.0.1',
    port: 8080,
    protocol: 'http/1.1',
    tls: undefined,
  } as const;
  const request = { method: 'GET', authority: 'a:8080', path, scheme: '', headers: [], claims: undefined };
  return { direction: 'outbound', connection, request, group, certificate: undefined };
}

for (const [i, normalization] of MODES.entries()) {
  test(`under ${normalization}`, async () => {
    const draw = new Draw(1 + i);
    const fixture = meshFixture();
    fixture.configure({ ...rig.meshConfig(), pathNormalization: { normalization } });
    for (const manifest of fixedManifests()) fixture.set(...decodeAll(manifest));
    const proxy = simulatedProxy(fixture, WORKLOAD);
    await rig.load(proxy.snapshot, { outbound: 15001, inbound: 15006 });
    const paths = Array.from({ length: PATHS_PER_MODE }, () => randomPath(draw));
    const calls = paths.map(toCall);
    const truths = await rig.run(calls);
    const verdicts = calls.map((call) => simulateAtProxy(proxy, call).outcomes[0]?.verdict);
    const differing = paths.flatMap((path, at) => {
      const [truth, verdict] = [truths[at], verdicts[at]];
      if (truth === undefined || verdict === undefined) return [path];
      const [actual, expected] = [actualSight(truth), expectedSight(verdict)];
      return actual === expected ? [] : [`${path}: simulated ${expected}; in truth ${actual}`];
    });
    deepStrictEqual(differing, []);
  });
}
