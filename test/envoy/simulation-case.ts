/**
 * One random mesh of the simulator's tests: its objects, the proxy whose configuration is tried, and calls through it, chosen so
 * that all kinds of verdicts come up.
 */
import { simulateAtProxy } from '#simulation/simulate.ts';
import type { SimulatedProxy } from '#simulation/evaluation.ts';
import type { SimulatedCall, Verdict } from '#simulation/simulated-call.ts';
import { decodeAll, type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';
import { CallDraw, type Clients, type Side } from './simulation-calls.ts';
import { Draw } from './simulation-draw.ts';
import { fixedManifests, GATEWAY, type Manifest, WORKLOAD } from './simulation-mesh.ts';
import { PolicyDraw } from './simulation-policies.ts';
import type { RigCall } from './simulation-rig.ts';
import { GATEWAY_HOSTS, MESH_HOSTS, TrafficDraw } from './simulation-traffic.ts';

export interface CaseInput {
  readonly seed: number;
  readonly clients: Clients;
  readonly jwks: string;
  /** Where Envoy logs. */
  readonly meshConfig: object;
}

/** A call with what the simulator says of it. */
export interface SimulatedRigCall {
  readonly call: RigCall;
  readonly simulated: SimulatedCall;
}

export interface SimulationCase {
  readonly seed: number;
  readonly isGateway: boolean;
  readonly proxy: SimulatedProxy;
  /** All calls of some connections, those with rare kinds of verdicts first. */
  readonly choose: (count: number, seen: Map<string, number>) => readonly SimulatedRigCall[];
}

/** Connections among which calls are chosen. */
const CANDIDATES = 300;
const SIDES: readonly Side[] = ['outbound', 'outbound', 'inbound'];

/** Every third mesh is seen from its gateway, the others from a workload. */
export function drawCase({ seed, clients, jwks, meshConfig }: CaseInput): SimulationCase {
  const draw = new Draw(seed);
  const isGateway = seed % 3 === 0;
  const manifests = drawManifests(draw, isGateway, jwks);
  const fixture = meshFixture();
  fixture.configure({
    ...meshConfig,
    outboundTrafficPolicy: { mode: draw.one(['ALLOW_ANY', 'REGISTRY_ONLY']) },
    pathNormalization: {
      normalization: draw.one(['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']),
    },
  });
  for (const manifest of [...fixedManifests(), ...manifests]) fixture.set(...decodeAll(manifest));
  const proxy = simulatedProxy(fixture, isGateway ? GATEWAY : WORKLOAD);
  const calls = new CallDraw(draw, clients, manifests);
  const group = (): readonly RigCall[] => {
    const drawn = calls.group(isGateway ? 'gateway' : draw.one(SIDES));
    return draw.chance(0.3) ? drawn.map((call) => calls.preflight(call)) : drawn;
  };
  return { seed, isGateway, proxy, choose: (count, seen) => chooseGroups(proxy, group, count, seen) };
}

/** Connects the proxy and takes its configuration. */
export function simulatedProxy(fixture: MeshFixture, facts: typeof WORKLOAD): SimulatedProxy {
  fixture.connect(facts);
  return {
    name: `${facts.name}.default`,
    snapshot: fixture.entries(facts.name),
    spiffeId: 'spiffe://cluster.local/ns/default/sa/default',
    addresses: [facts.ip ?? ''],
  };
}

function drawManifests(draw: Draw, isGateway: boolean, jwks: string): readonly Manifest[] {
  const traffic = new TrafficDraw(draw);
  const policies = new PolicyDraw(draw, isGateway ? { istio: 'gw' } : { app: 'client' });
  const tokens = policies.requestAuthentications(jwks);
  const binding = isGateway
    ? { gateways: ['gate'], hosts: GATEWAY_HOSTS, byClaims: tokens.length > 0 }
    : { gateways: ['mesh'], hosts: MESH_HOSTS, byClaims: false };
  return [
    ...traffic.virtualServices(binding),
    ...traffic.destinationRules(),
    ...traffic.serviceEntries(),
    ...(isGateway ? traffic.gateways() : [...traffic.sidecars(), ...policies.peerAuthentications()]),
    ...tokens,
    ...policies.authorizationPolicies(),
  ];
}

/** Kinds of one call; what chance decides counts for all that it may come to. */
export function kindsOf({ outcomes }: SimulatedCall): ReadonlySet<Verdict['kind']> {
  return new Set(outcomes.map(({ verdict }) => verdict.kind));
}

function chooseGroups(
  proxy: SimulatedProxy,
  draw: () => readonly RigCall[],
  count: number,
  seen: Map<string, number>,
): readonly SimulatedRigCall[] {
  const groups = Array.from({ length: CANDIDATES }, () =>
    draw().map((call) => ({ call, simulated: simulateAtProxy(proxy, call) })),
  );
  const chosen: SimulatedRigCall[] = [];
  while (chosen.length < count && groups.length > 0) {
    const worth = groups.map((group) => averageRarity(group, seen));
    const [best = []] = groups.splice(worth.indexOf(Math.max(...worth)), 1);
    for (const { simulated } of best) {
      for (const kind of kindsOf(simulated)) seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }
    chosen.push(...best);
  }
  return chosen;
}

/** A port where nobody listens says nothing. */
function averageRarity(group: readonly SimulatedRigCall[], seen: ReadonlyMap<string, number>): number {
  const kinds = group.flatMap(({ simulated }) => [...kindsOf(simulated)]);
  const rarity = (kind: string): number =>
    kind === 'no-listener' ? 0 : 1 / (1 + (seen.get(kind) ?? 0)) ** 2;
  return kinds.reduce((sum, kind) => sum + rarity(kind), 0) / kinds.length;
}
