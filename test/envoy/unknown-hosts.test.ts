/** Hosts that no service has, by traffic through a real Envoy: the agent's DNS is asked, and the cache holds as many names as allowed. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { after, before, test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { type LiveEndpoint, startEndpoint } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';
import { NameServer } from './name-server.ts';

const LIMIT = 2;

let dns: NameServer;
let sidecar: LiveSidecar;
let endpoint: LiveEndpoint;

before(async () => {
  dns = await NameServer.start();
  endpoint = await startEndpoint('outside');
  sidecar = await LiveSidecar.start({
    agentDns: `127.0.0.1:${dns.port}`,
    flags: { ...DEFAULT_MESH_FLAGS, unknownHostsLimit: LIMIT },
  });
  sidecar.fixture.configure({ outboundTrafficPolicy: { mode: 'ALLOW_ANY_DYNAMIC_DNS' } });
  await sidecar.apply(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild}
spec:
  hosts: ['*.wild.test']
  resolution: DYNAMIC_DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
`);
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  await endpoint.close();
  dns[Symbol.dispose]();
});

test('the name is asked for at the agent, and no more names are kept than allowed', async () => {
  const names = ['one', 'two', 'three'].map((name) => `${name}.outside.test`);
  for (const name of names) dns.set(name, '127.0.0.1');
  const statuses: number[] = [];
  for (const name of names) statuses.push((await sidecar.call(`${name}:${endpoint.port}`)).status);
  deepStrictEqual(statuses, [200, 200, 503]);
  deepStrictEqual([...new Set(dns.asked)], names.slice(0, LIMIT));
  strictEqual((await sidecar.call(`${names[0]}:${endpoint.port}`)).body, 'outside');
});
