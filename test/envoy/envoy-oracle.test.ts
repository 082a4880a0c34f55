/** The spare Envoy as judge: takes everything that we make of good objects, so that no innocent is blamed, and refuses what Envoys refuse. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { canProbe, type ProbeResource, probeBootstrap } from '#controllers/probe-bootstrap.ts';
import { leastProgramSize, tooLargeRegex } from '#controllers/regex-size.ts';
import { EnvoyOracle } from '#envoy/envoy-oracle.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { type MeshFixture, meshFixture, readObjects } from '../support/mesh-fixture.ts';
import { envoyPath, testFolder } from './held-back-rig.ts';

const samples = join(import.meta.dirname, '..', '..', 'samples', 'bookinfo');
const folder = testFolder();
const oracle = new EnvoyOracle({
  findEnvoy: async () => ({ path: await envoyPath(), version: '1.40.0' }),
  tempDir: folder.path,
});

after(async () => {
  await oracle[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const PARTS = ['clusters', 'endpoints', 'listeners', 'routes'] as const;

function resourcesOf(snapshot: ProxySnapshot, part: (typeof PARTS)[number]): ProbeResource[] {
  return Array.from(snapshot[part].values(), ({ resource }) => resource);
}

function bookinfo(...more: readonly string[]): MeshFixture {
  const mesh = meshFixture();
  for (const part of ['mesh', 'policy']) {
    for (const file of readdirSync(join(samples, part)))
      if (file.endsWith('.yaml')) mesh.apply(readFileSync(join(samples, part, file), 'utf8'));
  }
  for (const file of ['destination-rule-all-mtls', 'virtual-service-reviews-jason-v2-v3', ...more])
    mesh.apply(readFileSync(join(samples, 'networking', `${file}.yaml`), 'utf8'));
  mesh.apply(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example.com], tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: 444, name: tls, protocol: TLS}, hosts: [b.example.com], tls: {mode: PASSTHROUGH}}
`);
  mesh.mesh.replicas.set('default/reviews-v2-0', {
    namespace: 'default',
    workload: 'reviews-v2',
    replica: 0,
    address: '127.3.0.2',
    appAddress: '127.3.1.2',
    ready: true,
  });
  return mesh;
}

describe('the oracle', { timeout: 60_000 }, () => {
  for (const interceptionMode of ['REDIRECT', 'NONE'] as const) {
    it(`takes all that a sidecar and a gateway of Bookinfo get (${interceptionMode})`, async () => {
      const mesh = bookinfo('virtual-service-ratings-test-abort', 'virtual-service-ratings-test-delay');
      const labels = { app: 'reviews', version: 'v2' };
      mesh.connect({
        name: 'reviews-v2-0',
        ip: '127.3.0.2',
        labels,
        interceptionMode,
        outboundAddress: '127.3.2.2',
      });
      mesh.connect({
        name: 'gateway',
        type: 'router',
        labels: { istio: 'ingressgateway' },
        interceptionMode,
      });
      const refused: string[] = [];
      const counts: number[] = [];
      for (const name of ['reviews-v2-0', 'gateway']) {
        for (const part of PARTS) {
          const resources = resourcesOf(mesh.entries(name), part);
          counts.push(resources.length);
          ok(resources.every(canProbe));
          const answer = await oracle.accepts(probeBootstrap(resources));
          if (answer?.accepted !== true) refused.push(`${name} ${part}: ${answer?.message}`);
        }
      }
      deepStrictEqual(refused, []);
      ok(
        counts.every((count) => count > 0),
        `nothing to ask about: ${counts}`,
      );
    });
  }

  it('asks once for equal bytes, and leaves no file', async () => {
    const bootstrap = probeBootstrap([]);
    strictEqual((await oracle.accepts(bootstrap))?.accepted, true);
    const startedMs = performance.now();
    strictEqual((await oracle.accepts(bootstrap))?.accepted, true);
    ok(performance.now() - startedMs < 20);
    deepStrictEqual(readdirSync(folder.path), []);
  });

  it('has no answer without an Envoy, and none when time is up', async () => {
    await using nobody = new EnvoyOracle({ findEnvoy: async () => undefined, tempDir: folder.path });
    await using hasty = new EnvoyOracle({
      findEnvoy: async () => ({ path: await envoyPath(), version: '' }),
      tempDir: folder.path,
      timeoutMs: 1,
    });
    strictEqual(await nobody.accepts(probeBootstrap([])), undefined);
    strictEqual(await hasty.accepts(probeBootstrap([])), undefined);
  });

  for (const regex of [
    'a{1000}'.repeat(33),
    '[a-z]{1000}'.repeat(33),
    '(?:a|b){1000}'.repeat(33),
    'a{1,1000}'.repeat(17),
    '(?:ab?c){500}'.repeat(60),
    '(?i)(?:ab){500}'.repeat(33),
    '(?:foo|bar|[0-9]x){300}'.repeat(33),
  ]) {
    it(`refuses what the check beforehand refuses: ${regex.slice(0, 24)}…`, async (context) => {
      const least = leastProgramSize(regex);
      const answer = await oracle.accepts(probeBootstrap([routeTable(regex)]));
      const size = Number(/program size of (\d+)/.exec(answer?.message ?? '')?.[1] ?? 0);
      context.diagnostic(`at least ${least}, really ${size}`);
      if (least > 32_768) strictEqual(answer?.accepted, false);
      if (size > 0) ok(least <= size, `${least} > ${size}`);
      match(answer?.accepted === true ? 'program size' : (answer?.message ?? ''), /program size/);
    });
  }
});

/** A table of a gateway with one route by this expression. */
function routeTable(regex: string): ProbeResource {
  const mesh = bookinfo();
  const [object] = readObjects(virtualService(regex));
  ok(object !== undefined && (tooLargeRegex(object) === undefined) === leastProgramSize(regex) <= 32_768);
  mesh.apply(virtualService(regex));
  mesh.connect({
    name: 'gateway',
    type: 'router',
    labels: { istio: 'ingressgateway' },
    interceptionMode: 'NONE',
  });
  const table = resourcesOf(mesh.entries('gateway'), 'routes').find(({ bytes }) =>
    Buffer.from(bytes).includes(regex),
  );
  if (table === undefined) throw new Error('no table has the expression');
  return table;
}

function virtualService(regex: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: huge, namespace: default}
spec:
  hosts: ["*"]
  gateways: [bookinfo-gateway]
  http:
  - match: [{headers: {x: {regex: '${regex}'}}}]
    route: [{destination: {host: reviews, port: {number: 9080}}}]
`;
}
