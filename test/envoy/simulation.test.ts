/**
 * The simulator against real Envoy: random meshes, random calls, and each verdict must be what Envoy's access log says. Where Envoy
 * chooses at random its outcome lies in the simulator's set, and the frequencies fit. LATEEN_LONG=1 makes ten times as many calls, LATEEN_SEED begins elsewhere.
 */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isCertain } from '#simulation/simulated-call.ts';
import { disagreement, actualSight, sightShares } from './simulation-agreement.ts';
import { SimulationApp } from './simulation-app.ts';
import { type Clients, createIdentities } from './simulation-calls.ts';
import { drawCase, kindsOf, type SimulatedRigCall, type SimulationCase } from './simulation-case.ts';
import { listenEverywhere } from './simulation-mesh.ts';
import { type RigCall, SimulationRig, type Truth } from './simulation-rig.ts';
import { createTokens, type TokenSet } from './simulation-tokens.ts';

const IS_LONG = process.env['LATEEN_LONG'] === '1';
const FIRST_SEED = Number(process.env['LATEEN_SEED'] ?? 1);
const MESHES = IS_LONG ? 100 : 9;
const CALLS_PER_MESH = 225;
const REPEATS = 1_000;
const REPEATED_CALLS = IS_LONG ? 20 : 3;
const SHOWN = 10;
/** Each must come up in at least this share of the calls. */
const LEAST_SHARE = 0.02;
const KINDS = [
  'routed',
  'redirect',
  'direct-response',
  'fault-abort',
  'cors-answer',
  'no-route',
  'no-cluster',
  'no-endpoint',
  'denied',
  'unauthenticated',
  'bad-request',
  'tcp',
  'tcp-denied',
  'tcp-no-cluster',
  'tcp-no-endpoint',
  'no-chain',
  'tls-refused',
] as const;

let rig: SimulationRig;
let app: SimulationApp;
let clients: Clients;
let tokens: TokenSet;
/** Calls that chance decides, with their meshes, for the second test. */
const chancy: { readonly mesh: SimulationCase; readonly call: SimulatedRigCall }[] = [];

before(async () => {
  rig = await SimulationRig.start();
  app = new SimulationApp();
  await listenEverywhere(app);
  tokens = await createTokens();
  clients = { identities: await createIdentities(rig.authority), tokens: tokens.tokens };
});

after(async () => {
  await app[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

async function load(mesh: SimulationCase): Promise<void> {
  await rig.load(mesh.proxy.snapshot, mesh.isGateway ? undefined : { outbound: 15001, inbound: 15006 });
}

function draw(seed: number): SimulationCase {
  return drawCase({ seed, clients, jwks: tokens.jwks, meshConfig: rig.meshConfig() });
}

function report(seed: number, { call, simulated }: SimulatedRigCall, truth: Truth, words: string): string {
  const { certificate: _pem, ...shown } = call;
  const steps = simulated.outcomes[0]?.steps.map(
    ({ stage, subject, result }) => `    ${stage} ${subject}: ${result}`,
  );
  return [
    `seed ${seed}: ${JSON.stringify(shown)}`,
    `  ${words}`,
    `  log: ${JSON.stringify(truth.log)}`,
    ...(steps ?? []),
  ].join('\n');
}

test('random calls at random meshes end as simulated', async (t) => {
  const seen = new Map<string, number>();
  const mismatches: string[] = [];
  let count = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + MESHES; seed++) {
    const mesh = draw(seed);
    const calls = mesh.choose(CALLS_PER_MESH, seen);
    await load(mesh);
    const truths = await rig.run(calls.map(({ call }) => call));
    for (const [i, truth] of truths.entries()) {
      const call = calls[i];
      if (call === undefined) continue;
      count++;
      const words =
        disagreement(call.simulated.outcomes, truth) ??
        (call.simulated.outcomes.every(isCertain) ? undefined : 'agrees by luck: not all was evaluated');
      if (words !== undefined) mismatches.push(report(seed, call, truth, words));
      if (sightShares(call.simulated.outcomes).size > 1) chancy.push({ mesh, call });
    }
  }
  const shares = [...seen]
    .sort((a, b) => b[1] - a[1])
    .map(([kind, n]) => `${kind} ${((100 * n) / count).toFixed(1)} %`);
  t.diagnostic(
    `seeds ${FIRST_SEED} to ${FIRST_SEED + MESHES - 1}, ${count} calls, ${mismatches.length} disagree: ${shares.join(', ')}`,
  );
  ok(
    mismatches.length === 0,
    `${mismatches.length} calls disagree:\n${mismatches.slice(0, SHOWN).join('\n')}`,
  );
  const rare = KINDS.filter((kind) => (seen.get(kind) ?? 0) < LEAST_SHARE * count);
  deepStrictEqual(rare, [], 'kinds of verdicts that hardly come up');
});

test('where Envoy chooses at random, the frequencies are those simulated', async (t) => {
  const step = Math.max(1, Math.floor(chancy.length / REPEATED_CALLS));
  const sampled = chancy.filter((_one, i) => i % step === 0).slice(0, REPEATED_CALLS);
  ok(sampled.length > 0);
  for (const { mesh, call } of sampled) {
    await load(mesh);
    const truths = await rig.run(repeated(call));
    const shares = sightShares(call.simulated.outcomes);
    const counts = new Map<string, number>();
    for (const truth of truths) counts.set(actualSight(truth), (counts.get(actualSight(truth)) ?? 0) + 1);
    const known = [...shares].map(([sight, share]) => ({ sight, share, count: counts.get(sight) ?? 0 }));
    const words = known.map(
      ({ sight, share, count }) => `\n  expected ${(share * REPEATS).toFixed(0)} got ${count}: ${sight}`,
    );
    const { address, port, tls } = call.call.connection;
    const place = `${address}:${port}${tls === undefined ? '' : ` (${tls.serverName})`}`;
    t.diagnostic(
      `seed ${mesh.seed}, ${place}, ${REPEATS} times ${[...kindsOf(call.simulated)].join(' or ')}:${words.join('')}`,
    );
    deepStrictEqual(
      [...counts.keys()].filter((sight) => !shares.has(sight)),
      [],
    );
    const square = known.reduce(
      (sum, one) => sum + (one.count - one.share * REPEATS) ** 2 / (one.share * REPEATS),
      0,
    );
    ok(square <= chiSquareBound(known.length - 1), `chi-square ${square}:${words.join('')}`);
  }
});

/** The call many times; over a few connections where each request is answered by itself. */
function repeated({ call, simulated }: SimulatedRigCall): readonly RigCall[] {
  const isHttp = simulated.outcomes.every(({ verdict }) => 'route' in verdict);
  return Array.from({ length: REPEATS }, (_, i) => {
    const group = isHttp ? i % 16 : i;
    return { ...call, group, connection: { ...call.connection, sourcePort: 1024 + group } };
  });
}

/** What chi-square exceeds once in a million. Wilson and Hilferty's approximation. */
function chiSquareBound(freedom: number): number {
  const z = 4.7534;
  const spread = 2 / (9 * freedom);
  return freedom * (1 - spread + z * Math.sqrt(spread)) ** 3;
}
