/** Zone-aware balancing through a real Envoy that discovers its own cluster: how much of a service's traffic stays in the zone. */
import { ok, strictEqual } from 'node:assert';
import { after, before, test } from 'node:test';
import { entryFor, type LiveEndpoint, ruleFor, startEndpoint } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';

const CALLS = 300;
/** Four deviations of a fair coin thrown so often. */
const SPREAD = 4 * Math.sqrt(CALLS / 4);

let sidecar: LiveSidecar;
let endpoints: readonly LiveEndpoint[];

/** The client itself and its like: one workload in each of two zones. */
function clients(...zones: readonly string[]): string {
  const entries = zones.map(
    (zone, i) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: client-${i}, labels: {service.istio.io/workload-name: client}}
spec: {address: ${i === 0 ? sidecar.address : `127.250.0.${i}`}, locality: east/${zone}, labels: {app: client}}
`,
  );
  return `${entries.join('---')}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: client}
spec:
  hosts: [client.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: client}}
`;
}

before(async () => {
  endpoints = await Promise.all(Array.from({ length: 6 }, (_, i) => startEndpoint(String(i))));
  sidecar = await LiveSidecar.start({ discoversItselfIn: { region: 'east', zone: 'a' } });
  await sidecar.apply(clients('a', 'b'));
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  await Promise.all(endpoints.map((endpoint) => endpoint.close()));
});

/** Calls to a service that has so many endpoints in zone a and in zone b; how many of them ended in zone a. */
async function callsInZone(
  host: string,
  zones: readonly [number, number],
  zoneAware: string,
): Promise<number> {
  const [here, there] = zones;
  const used = endpoints.slice(0, here + there);
  const zoneOf = (i: number) => `, locality: east/${i < here ? 'a' : 'b'}`;
  const rule = ruleFor(host, `{loadBalancer: {simple: ROUND_ROBIN, zoneAwareLbSetting: ${zoneAware}}}`);
  await sidecar.apply(`${entryFor(host, used, (_endpoint, i) => zoneOf(i))}---${rule}`);
  const counts = await sidecar.count(host, CALLS);
  return [...counts].reduce((sum, [name, count]) => sum + (Number(name) < here ? count : 0), 0);
}

/** Exactly 300 calls stay, or a share within four deviations. */
function near(actual: number, expected: number): void {
  ok(Math.abs(actual - expected) < SPREAD, `${actual} of ${CALLS} in the zone, not about ${expected}`);
}

test('all traffic stays in the zone where callers and called are balanced alike', async () => {
  strictEqual(await callsInZone('even.test', [3, 3], '{minClusterSize: 1}'), CALLS);
  ok((await sidecar.stat('outbound|80||even.test', 'lb_zone_routing_all_directly')) > 0);
});

test('of a service that is smaller here than its callers, the zone keeps as much as it has', async () => {
  // Half of the callers are here, and a quarter of the called: every other call has to leave.
  near(await callsInZone('small.test', [1, 3], '{minClusterSize: 1}'), CALLS / 2);
  ok((await sidecar.stat('outbound|80||small.test', 'lb_zone_routing_cross_zone')) > 0);
});

test('switched off, zones play no role', async () => {
  near(await callsInZone('off.test', [3, 3], '{enabled: false}'), CALLS / 2);
});

test('a service below the least size is spread over its zones', async () => {
  near(await callsInZone('few.test', [2, 2], '{minClusterSize: 5}'), CALLS / 2);
  ok((await sidecar.stat('outbound|80||few.test', 'lb_zone_cluster_too_small')) > 0);
});

test('callers that come or go change what stays', async () => {
  await sidecar.apply(clients('a', 'b', 'b', 'b'));
  // A quarter of the callers are here, and a quarter of the called.
  strictEqual(await callsInZone('quarter.test', [1, 3], '{minClusterSize: 1}'), CALLS);
});
