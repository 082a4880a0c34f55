/**
 * DNS as an application sees it: a real control plane, an agent with its Envoy, queries by Node's own resolver, and a
 * resolver for what the mesh does not know.
 */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as dnsPacket from 'dns-packet';
import {
  envoyPath,
  memoryMb,
  ownAddress,
  prepareBundle,
  TestAgent,
  until,
  writePrivate,
} from './agent-fixture.ts';
import { type DiscoveryFixture, startDiscovery } from './discovery-fixture.ts';

const LIMIT_MS = 20_000;

const SERVICES = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { clusterIP: 10.0.1.1, clusterIPs: [10.0.1.1], ports: [{ name: http, port: 9080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: hidden, namespace: default, annotations: { networking.istio.io/exportTo: '.' } }
spec: { clusterIP: 10.0.1.2, clusterIPs: [10.0.1.2], ports: [{ name: http, port: 9080 }] }
---
# There is no CA here, and Envoy would wait for its certificate.
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: plain, namespace: istio-system }
spec: { host: '*.local', trafficPolicy: { tls: { mode: DISABLE } } }
`;

function entry(address: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside, namespace: default }
spec:
  hosts: [db.example.com, '*.wild.example.com']
  addresses: [${address}]
  ports: [{ number: 443, name: tls, protocol: TLS }]
  resolution: STATIC
  endpoints: [{ address: 192.0.2.1 }]
`;
}

const address = ownAddress();
let discovery: DiscoveryFixture;
let agent: TestAgent;
let upstream: Socket;
let upstreamQueries = 0;

function resolver(): dns.Resolver {
  const one = new dns.Resolver({ timeout: 5_000, tries: 2 });
  one.setServers([`${address}:15053`]);
  return one;
}

/** Answers every query of whatever type with one record. */
async function startUpstream(): Promise<number> {
  upstream = createSocket('udp4');
  upstream.on('message', (bytes, from) => {
    upstreamQueries++;
    const { id = 0, questions = [] } = dnsPacket.decode(bytes);
    const [{ name = '', type = 'A' } = {}] = questions;
    const record: dnsPacket.Answer =
      type === 'TXT' ? { type, name, data: 'from upstream' } : { type: 'A', name, data: '192.0.2.99' };
    upstream.send(
      dnsPacket.encode({ type: 'response', id, questions, answers: [record] }),
      from.port,
      from.address,
    );
  });
  upstream.bind(0, address);
  await once(upstream, 'listening');
  return upstream.address().port;
}

async function startAgent(upstreamPort: number): Promise<TestAgent> {
  const home = join(discovery.folder, '..', 'agent');
  const search = 'search shop.svc.cluster.local svc.cluster.local';
  writePrivate(join(home, 'resolv.conf'), `nameserver [${address}]:${upstreamPort}\n${search}\n`);
  return new TestAgent(home, {
    ENVOY_PATH: await envoyPath(),
    POD_NAME: 'client-0',
    POD_NAMESPACE: 'shop',
    INSTANCE_IP: address,
    ISTIO_META_DNS_CAPTURE: 'true',
    ISTIO_META_INTERCEPTION_MODE: 'NONE',
    LATEEN_RESOLV_CONF: join(home, 'resolv.conf'),
    LATEEN_ADMIN_ADDRESS: address,
    LATEEN_LISTEN_ADDRESS: address,
    PROXY_CONFIG: JSON.stringify({
      discoveryAddress: `${discovery.address}:${discovery.xdsPort}`,
      controlPlaneAuthPolicy: 'NONE',
      concurrency: 1,
      terminationDrainDuration: '0.1s',
    }),
  });
}

async function call(port: number, path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve) => {
    get({ host: address, port, path, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    }).on('error', () => resolve({ status: 0, body: '' }));
  });
}

async function addressesOf(name: string): Promise<readonly string[]> {
  return resolver()
    .resolve4(name)
    .catch((error: NodeJS.ErrnoException) => [String(error.code)]);
}

describe('DNS in the agent', () => {
  before(async () => {
    prepareBundle();
    discovery = await startDiscovery();
    discovery.save('services.yaml', SERVICES);
    discovery.save('entry.yaml', entry('240.1.0.1'));
    agent = await startAgent(await startUpstream());
    await until('names', LIMIT_MS, async () =>
      (await addressesOf('db.example.com'))[0] === '240.1.0.1' ? true : undefined,
    );
  });

  after(async () => {
    await agent?.stop();
    await discovery?.[Symbol.asyncDispose]();
    upstream?.close();
  });

  it('answers services, entries and wildcards by the names that applications use', async () => {
    const names = [
      'reviews.default.svc.cluster.local',
      'reviews.default.svc',
      'reviews.default',
      'reviews.default.shop.svc.cluster.local',
      'any.wild.example.com',
    ];
    const found = await Promise.all(names.map(addressesOf));
    assert.deepEqual(found.flat(), ['10.0.1.1', '10.0.1.1', '10.0.1.1', '10.0.1.1', '240.1.0.1']);
    assert.equal(upstreamQueries, 0);
    const six = await resolver()
      .resolve6('reviews.default')
      .catch((error: NodeJS.ErrnoException) => error.code);
    assert.equal(six, 'ENODATA');
  });

  it('leaves the rest, of all types, and what this proxy may not see, to the machine', async () => {
    assert.deepEqual(await addressesOf('example.org'), ['192.0.2.99']);
    assert.deepEqual(await addressesOf('hidden.default.svc.cluster.local'), ['192.0.2.99']);
    assert.deepEqual(await resolver().resolveTxt('db.example.com'), [['from upstream']]);
  });

  it('follows a change', async () => {
    discovery.save('entry.yaml', entry('240.1.0.2'));
    await until('the new address', LIMIT_MS, async () =>
      (await addressesOf('db.example.com'))[0] === '240.1.0.2' ? true : undefined,
    );
  });

  it('is ready, and shows its names and counts', async () => {
    await until('ready', LIMIT_MS, async () =>
      (await call(15021, '/healthz/ready')).status === 200 ? true : undefined,
    );
    const { body } = await call(15020, '/debug/ndsz');
    assert.deepEqual(JSON.parse(body).table['db.example.com.'], { ips: ['240.1.0.2'] });
    const metrics = await call(15020, '/metrics');
    assert.match(metrics.body, /^istio_agent_dns_requests_total [1-9]/m);
    assert.match(metrics.body, /^istio_agent_dns_upstream_requests_total [1-9]/m);
    assert.match(metrics.body, /^istio_agent_dns_upstream_request_duration_seconds_count [1-9]/m);
  });

  it('loses none of a thousand queries at once, and stays small', async (test) => {
    const one = resolver();
    const startMs = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) =>
        one.resolve4(i % 2 === 0 ? 'db.example.com' : `name-${i}.example.org`).then(
          ([first]) => first,
          (error: NodeJS.ErrnoException) => error.code,
        ),
      ),
    );
    test.diagnostic(`1,000 queries in ${Math.round(performance.now() - startMs)} ms`);
    assert.deepEqual(
      answers.filter((answer) => answer !== '240.1.0.2' && answer !== '192.0.2.99'),
      [],
    );
    const rssMb = memoryMb(agent.process.pid ?? 0, 'VmRSS');
    test.diagnostic(`RSS of the agent after it: ${rssMb} MB`);
    assert.ok(rssMb < 85, `${rssMb} MB`);
  });

  it('ends cleanly', async () => {
    assert.equal(await agent.stop(), 0);
  });
});
