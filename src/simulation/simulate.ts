/**
 * The simulator: follows a described call through the generated configuration of the proxies on its way, without Envoy. Pure; what
 * is evaluated and what is not, docs/decisions/020 says. Checked against real Envoys in test/envoy/simulation*.test.ts.
 * Costs one decoding per resource that is looked at, then microseconds per call and outcome.
 */
import { type Chance, allOutcomes } from './chance.ts';
import type { Call } from './call.ts';
import { Evaluation, type SimulatedProxy } from './evaluation.ts';
import { type HopCall, simulateHop } from './hop.ts';
import type { EndpointShare, Outcome, SimulatedCall, Step, Verdict } from './simulated-call.ts';
import { upstreamCall } from './upstream.ts';

/** The proxies that calls may meet. */
export interface SimulationWorld {
  /** By the name that calls use. */
  readonly proxy: (name: string) => SimulatedProxy | undefined;
  /** The proxy in front of an address. */
  readonly proxyAt: (address: string) => SimulatedProxy | undefined;
}

/** A call that comes back to where it was must end. */
const MAX_HOPS = 8;

/** Follows a call to its end. */
export function simulateCall(world: SimulationWorld, call: Call): SimulatedCall {
  return simulate((chance, steps) => followCall(world, call, chance, steps));
}

/** Follows a call through one proxy only. */
export function simulateAtProxy(proxy: SimulatedProxy, call: HopCall): SimulatedCall {
  return simulate((chance, steps) => {
    const verdict = simulateHop(new Evaluation(proxy, chance, steps), call);
    return { proxy: proxy.name, verdict };
  });
}

interface Ending {
  readonly proxy: string;
  readonly verdict: Verdict;
}

function simulate(run: (chance: Chance, steps: Step[]) => Ending): SimulatedCall {
  const outcomes = allOutcomes((chance) => {
    const steps: Step[] = [];
    return { steps, ...run(chance, steps) };
  });
  return { outcomes: outcomes.map(({ probability, value }): Outcome => ({ probability, ...value })) };
}

function followCall(world: SimulationWorld, call: Call, chance: Chance, steps: Step[]): Ending {
  const { source, connection, request } = call;
  const isOwn = source.kind === 'workload';
  let proxy = isOwn ? world.proxy(source.proxy) : world.proxyAt(connection.address);
  let hop: HopCall = { direction: isOwn ? 'outbound' : 'inbound', connection, request };
  let ending: Ending = { proxy: '', verdict: { kind: 'not-evaluated', reason: 'no such proxy' } };
  for (let hops = 0; proxy !== undefined && hops < MAX_HOPS; hops++) {
    const evaluation: Evaluation = new Evaluation(proxy, chance, steps);
    const verdict = simulateHop(evaluation, hop);
    ending = { proxy: proxy.name, verdict };
    const endpoint = nextEndpoint(verdict, chance);
    const next: SimulatedProxy | undefined =
      endpoint === undefined ? undefined : world.proxyAt(endpoint.address);
    // What a proxy sends to its own address is for its application.
    if (endpoint === undefined || next === undefined || next === proxy) return ending;
    evaluation.note('endpoint', `${endpoint.address}:${endpoint.port}`, `is behind ${next.name}`);
    hop = upstreamCall(evaluation, verdict, endpoint, hop);
    proxy = next;
  }
  return ending;
}

function nextEndpoint(verdict: Verdict, chance: Chance): EndpointShare | undefined {
  if (verdict.kind !== 'routed' && verdict.kind !== 'tcp') return undefined;
  const endpoints = verdict.endpoints.kind === 'known' ? verdict.endpoints.endpoints : [];
  return endpoints.length === 0 ? undefined : endpoints[chance.pick(endpoints.map(({ share }) => share))];
}
