/** T29: what the control plane's doors tell of proxies, to whom: over HTTP with real tokens, and over xDS. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { type LocalAuthority, openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { Readiness } from '#doors/health.ts';
import { MetricRegistry } from '#doors/prometheus-text.ts';
import { type DiscoveryDoors, openDiscoveryDoors, STRICT_DEBUG_ACCESS } from '#main/discovery-doors.ts';
import type { XdsDoor } from '#main/xds-door.ts';
import { meshFixture } from '../support/mesh-fixture.ts';
import { FakeWorld, snapshotOf } from './fake-world.ts';
import { DeltaClient, SotwClient } from './scripted-client.ts';

const ELSEWHERE = 'istiod.istio-system.svc';
let folder = '';
let authority: LocalAuthority;
let doors: DiscoveryDoors;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'doors-'));
  const clock = systemClock();
  const opened = await openCertificateAuthority({
    folder: join(folder, 'ca'),
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signer: defaultSignerOptions,
    tokenVerifiers: [],
    clock,
    log: silentLogger(),
  });
  assert.ok(opened.ok);
  authority = opened.value;
  const fixture = meshFixture();
  const proxy = fixture.connect({ name: 'web-0', namespace: 'shop' });
  fixture.settle();
  const connection = { id: 'web-0.shop-1', address: '', connectedAtMs: 0, node: { proxy }, types: new Map() };
  doors = await openDiscoveryDoors({
    http: { host: '127.0.0.1', port: 0 },
    monitoring: undefined,
    mesh: fixture.mesh,
    door: { ads: { connections: [connection] }, authority } as unknown as XdsDoor,
    metrics: new MetricRegistry(),
    version: '1',
    readiness: new Readiness(),
    hasDebugPages: true,
    debugAccess: STRICT_DEBUG_ACCESS,
    log: silentLogger(),
  });
});
after(async () => {
  await doors[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

async function ask(path: string, namespace?: string): Promise<readonly [number, string]> {
  const headers: Record<string, string> = { host: ELSEWHERE };
  if (namespace !== undefined) {
    const subject = { namespace, serviceAccount: 'default', facts: { workload: 'x' }, instance: 'x' };
    headers['authorization'] = `Bearer ${(await authority.tokens.issueToken(subject)).reveal()}`;
  }
  return new Promise((resolve, reject) => {
    const call = request(
      { host: '127.0.0.1', port: doors.httpPort, path, headers, agent: false },
      (answer) => {
        let body = '';
        answer.on('data', (chunk: Buffer) => (body += chunk.toString()));
        answer.on('end', () => resolve([answer.statusCode ?? 0, body]));
      },
    );
    call.on('error', reject);
    call.end();
  });
}

const DUMP = '/debug/config_dump?proxyID=web-0.shop';
const HTTP_CASES: readonly (readonly [string, string | undefined, number])[] = [
  [DUMP, undefined, 401],
  [DUMP, 'istio-system', 200],
  [DUMP, 'shop', 200],
  [DUMP, 'other', 404],
  ['/debug/edsz?proxyID=web-0.shop', 'shop', 200],
  ['/debug/edsz?proxyID=web-0.shop', 'other', 404],
  ['/debug/syncz', undefined, 401],
  ['/debug/syncz', 'shop', 403],
  ['/debug/configz', 'shop', 403],
  ['/debug/endpointz', 'shop', 403],
  ['/debug/registryz', 'istio-system', 200],
  ['/metrics', undefined, 200],
  ['/version', undefined, 200],
  ['/ready', undefined, 200],
];
for (const [path, namespace, status] of HTTP_CASES) {
  test(`T29: ${path} answers ${status} to ${namespace ?? 'nobody'}`, async () => {
    const [actual, body] = await ask(path, namespace);
    assert.equal(actual, status, body.slice(0, 200));
    assert.ok(status === 200 || !body.includes('envoy'));
  });
}

const WORKLOAD = {
  identity: 'spiffe://cluster.local/ns/shop/sa/web',
  isTrusted: true,
  connection: { transport: 'tls', remoteAddress: '', tls: undefined },
} as const;
for (const type of [
  'istio.io/debug',
  'istio.io/debug/syncz',
  'istio.io/debug/config_dump',
  'istio.io/connections',
]) {
  test(`T29: ${type} over xDS tells nothing, in plain text or to a workload`, () => {
    const world = new FakeWorld();
    world.publish(snapshotOf({ clusters: [{ name: 'c', revision: 1 }] }));
    for (const peer of [undefined, WORKLOAD]) {
      const sotw = new SotwClient(world, ...(peer === undefined ? [] : [peer]));
      sotw.ask(type, 'config_dump?proxyID=web-0.shop');
      assert.deepStrictEqual(
        sotw.take().flatMap(({ set }) => set),
        [],
      );
      const delta = new DeltaClient(world, ...(peer === undefined ? [] : [peer]));
      delta.subscribe(type, 'syncz');
      assert.deepStrictEqual(
        delta.take().flatMap(({ set }) => set),
        [],
      );
    }
  });
}
