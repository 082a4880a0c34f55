import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { createEngine } from '#collections/engine.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { parseCertificates } from '#identity/certificate.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { type AnchorSource, bundleRoots, MeshTrustAnchors } from './mesh-trust-anchors.ts';

const issuers = await Promise.all(['east', 'west', 'north'].map((name) => createIssuer(name)));
const leaf = await issuers[0]?.issue({ dns: ['leaf'] });
const [east = '', west = '', north = ''] = issuers.map(({ root }) => parsed(root));
const URL_WEST = 'https://west.example/bundle';

/** As certificates are printed here. */
function parsed(pem: string): string {
  const certificates = parseCertificates(pem);
  return certificates.ok ? (certificates.value[0]?.pem ?? '') : '';
}

function der(pem: string): string {
  return pem.replaceAll(/-----[A-Z ]+-----|\n/g, '');
}

function bundle(...pems: readonly string[]): string {
  const keys = pems.map((pem) => ({ use: 'x509-svid', kty: 'EC', x5c: [der(pem)] }));
  return JSON.stringify({ keys: [...keys, { use: 'jwt-svid', kty: 'EC' }], spiffe_refresh_hint: 60 });
}

const NAMES = new Map([
  [east, 'east'],
  [west, 'west'],
  [north, 'north'],
]);

function start(
  caCertificates: MeshConfigJson['caCertificates'],
  answers: Map<string, Result<string, string>>,
) {
  const engine = createEngine();
  const clock = new TestClock();
  const meshConfig = engine.source<MeshConfigJson>('meshConfig');
  const configure = (certificates: MeshConfigJson['caCertificates']): void => {
    meshConfig.set('mesh', { caCertificates: certificates ?? [] });
    engine.settle();
  };
  configure(caCertificates);
  const published: [AnchorSource, string][] = [];
  const asked: string[] = [];
  const controller = new MeshTrustAnchors({
    engine,
    meshConfig,
    fetchText: async (url) => {
      asked.push(url);
      return answers.get(url) ?? fail('refused');
    },
    clock,
    rng: { float: () => 0 } as never,
    log: silentLogger(),
    publish: (source, pems) =>
      published.push([
        source,
        pems
          .map((pem) => NAMES.get(pem))
          .sort()
          .join(),
      ]),
    refreshMs: 60_000,
  });
  const settle = async (ms = 0): Promise<readonly (readonly [AnchorSource, string])[]> => {
    clock.advance(ms);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    return published.splice(0);
  };
  return { controller, configure, settle, asked };
}

test('certificates of mesh config are handed on, but for those of no authority', async () => {
  const { configure, settle } = start(
    [{ pem: `${east}${west}` }, { pem: leaf?.chain ?? '' }, { pem: 'x' }],
    new Map(),
  );
  deepStrictEqual(await settle(), [['mesh-config', 'east,west']]);
  configure([{ pem: west, trustDomains: ['west'] }]);
  deepStrictEqual(await settle(), [['mesh-config', 'west']]);
  configure([{ pem: west }]);
  deepStrictEqual(await settle(), []);
});

test('no more are handed on than agents take', async () => {
  const many = await Promise.all(Array.from({ length: 41 }, (_, at) => createIssuer(`root ${at}`)));
  const { settle } = start(
    many.map(({ root }) => ({ pem: root })),
    new Map(),
  );
  deepStrictEqual(
    (await settle()).map(([, names]) => names.split(',').length),
    [40],
  );
});

test('bundles are fetched over https, refreshed, kept while their source is away, and dropped with their URL', async () => {
  const answers = new Map<string, Result<string, string>>([[URL_WEST, ok(bundle(west))]]);
  const { configure, settle, asked } = start([{ spiffeBundleUrl: 'west.example/bundle' }], answers);
  deepStrictEqual([await settle(), asked], [[['spiffe-bundles', 'west']], [URL_WEST]]);
  answers.set(URL_WEST, ok(bundle(west, north)));
  deepStrictEqual(await settle(60_000), [['spiffe-bundles', 'north,west']]);
  answers.set(URL_WEST, ok('{}'));
  deepStrictEqual(await settle(60_000), []);
  configure([]);
  deepStrictEqual(await settle(), [['spiffe-bundles', '']]);
});

test('a bundle that cannot be had is tried again soon', async () => {
  const answers = new Map<string, Result<string, string>>();
  const { settle, asked, controller } = start([{ spiffeBundleUrl: URL_WEST }], answers);
  deepStrictEqual(await settle(), []);
  answers.set(URL_WEST, ok(bundle(west)));
  deepStrictEqual(await settle(2_000), [['spiffe-bundles', 'west']]);
  controller[Symbol.dispose]();
  await settle(600_000);
  deepStrictEqual(asked.length, 2);
});

for (const [sentence, text] of [
  ['no JSON', 'x'],
  ['no keys', '{}'],
  ['null', 'null'],
  ['keys of no use', '{"keys":[{"use":"jwt-svid"},null,1]}'],
  [
    'two certificates in one entry',
    JSON.stringify({ keys: [{ use: 'x509-svid', x5c: [der(east), der(west)] }] }),
  ],
  ['no certificate', '{"keys":[{"use":"x509-svid","x5c":["AAAA"]}]}'],
] as const) {
  test(`a bundle is refused: ${sentence}`, () => deepStrictEqual(bundleRoots(text).ok, false));
}
