/** Modules from a web server and a registry on loopback: forms of images, passwords, digests, policies, and what is refused. */
import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { LOOPBACK_ALLOWED, NO_EXCEPTIONS } from '#base/address-guard.ts';
import { systemClock, TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import { Secret } from '#base/secret.ts';
import { AgentMetrics } from './agent-metrics.ts';
import { type ImageForm, ModuleServer, sha256, tarOf } from './module-server.ts';
import { type ModuleRequest, WasmCache } from './wasm-cache.ts';
import type { WasmFetchLimits } from './wasm-download.ts';
import type { WasmOptions } from './wasm-options.ts';
import type { AgentParts } from './workload-certificate.ts';

const ADDRESS = '127.83.4.1';
const MODULE = Buffer.from([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
/** The same with a custom section. */
const OTHER = Buffer.concat([MODULE, Buffer.from([0, 2, 1, 0x78])]);

let folder = '';
let server: ModuleServer;
let parts: AgentParts;
let caches: WasmCache[] = [];

function cacheOf(limits: Partial<WasmFetchLimits> = {}, options: Partial<WasmOptions> = {}): WasmCache {
  const cache = new WasmCache(
    {
      folder,
      limits: {
        guard: LOOPBACK_ALLOWED,
        maxBytes: 1 << 20,
        insecureHosts: new Set(),
        requestTimeoutMs: 2_000,
        maxAttempts: 1,
        ...limits,
      },
      purgeIntervalMs: 1_000,
      moduleExpiryMs: 10_000,
      dockerConfigPath: undefined,
      ...options,
    },
    parts,
  );
  caches.push(cache);
  return cache;
}

function request(change: Partial<ModuleRequest> & { readonly url: string }): ModuleRequest {
  const rest = { sha256: '', resourceName: 'r', revision: '1', timeoutMs: 5_000 } as const;
  return { ...rest, pullPolicy: 'unspecified', pullSecret: undefined, ...change };
}

function pullSecret(password = 'me:word', host = server.host): Secret {
  return new Secret(
    JSON.stringify({ auths: { [host]: { auth: Buffer.from(password).toString('base64') } } }),
  );
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lateen-wasm-'));
});
after(() => rmSync(folder, { recursive: true }));
beforeEach(async () => {
  server = await ModuleServer.start(ADDRESS);
  parts = {
    clock: systemClock(),
    rng: seededRng(1),
    log: silentLogger(),
    metrics: new AgentMetrics('1'),
  };
});
afterEach(async () => {
  for (const cache of caches) cache[Symbol.dispose]();
  caches = [];
  await server[Symbol.asyncDispose]();
});

describe('a module by http', () => {
  it('is fetched once, kept under its digest, and readable by its owner only', async () => {
    server.files.set('/a.wasm', { body: MODULE });
    const cache = cacheOf();
    const url = `http://${server.host}/a.wasm`;
    const path = await cache.get(request({ url }));
    strictEqual(await cache.get(request({ url, revision: '2' })), path);
    deepStrictEqual(
      [
        readFileSync(path),
        path.endsWith(`/${sha256(MODULE)}.wasm`),
        statSync(path).mode & 0o777,
        server.seen,
      ],
      [MODULE, true, 0o600, ['/a.wasm']],
    );
  });

  it('may be wrapped, and must be what its sum says', async () => {
    server.files.set('/a.tar', { body: tarOf('x.wasm', MODULE) });
    const url = `http://${server.host}/a.tar`;
    ok(await cacheOf().get(request({ url, sha256: sha256(MODULE) })));
    await rejects(cacheOf().get(request({ url, sha256: sha256(OTHER) })), /its sha256 is .*, not /);
  });

  it('is asked for again under the policy Always when the plugin has changed', async () => {
    let body = MODULE;
    server.files.set('/a.wasm', () => ({ body }));
    const cache = cacheOf();
    const always = { url: `http://${server.host}/a.wasm`, pullPolicy: 'always' } as const;
    const first = await cache.get(request(always));
    body = OTHER;
    strictEqual(await cache.get(request(always)), first);
    ok((await cache.get(request({ ...always, revision: '2' }))).includes(sha256(OTHER)));
    strictEqual(server.seen.length, 2);
  });

  it('is fetched once for several at the same time', async () => {
    server.files.set('/a.wasm', { body: MODULE });
    const cache = cacheOf();
    const url = `http://${server.host}/a.wasm`;
    const paths = await Promise.all(
      ['a', 'b', 'c'].map((resourceName) => cache.get(request({ url, resourceName }))),
    );
    deepStrictEqual([new Set(paths).size, server.seen.length], [1, 1]);
  });

  it('is tried again while the server has a passing problem, and not when it has another', async () => {
    let left = 2;
    server.files.set('/a.wasm', () => (left-- > 0 ? { status: 503 } : { body: MODULE }));
    const quick = new TestClock();
    parts = { ...parts, clock: { ...systemClock(), schedule: (_ms, run) => systemClock().schedule(1, run) } };
    ok(await cacheOf({ maxAttempts: 5 }).get(request({ url: `http://${server.host}/a.wasm` })));
    strictEqual(server.seen.length, 3);
    server.files.set('/b.wasm', { status: 403 });
    await rejects(
      cacheOf({ maxAttempts: 5 }).get(request({ url: `http://${server.host}/b.wasm` })),
      /status 403/,
    );
    strictEqual(server.seen.length, 4);
    strictEqual(quick.waitingCount, 0);
  });

  const REFUSED: readonly (readonly [name: string, url: () => string, says: RegExp])[] = [
    ['a page', () => `http://${server.host}/page`, /no WebAssembly module/],
    ['an invalid module', () => `http://${server.host}/invalid`, /no valid WebAssembly module/],
    ['more than the limit', () => `http://${server.host}/large`, /larger than 1048576 bytes/],
    ['redirects without end', () => `http://${server.host}/round`, /redirects/],
    [
      'a redirect to the metadata service',
      () => `http://${server.host}/metadata`,
      /refused: 169.254.169.254 is link-local/,
    ],
    ['a link-local address', () => 'http://169.254.169.254/a', /link-local/],
    ['a mapped one', () => 'http://[::ffff:169.254.169.254]/a', /link-local/],
    ['another scheme', () => 'ftp://x/a', /not an http or https URL/],
  ];
  for (const [name, url, says] of REFUSED) {
    it(`is refused (T14): ${name}`, async () => {
      server.files.set('/page', { body: Buffer.from('<html>') });
      server.files.set('/invalid', { body: Buffer.concat([MODULE, Buffer.from('??')]) });
      server.files.set('/large', { body: Buffer.alloc(2 << 20) });
      server.files.set('/round', { status: 302, headers: { location: '/round' } });
      server.files.set('/metadata', { status: 302, headers: { location: 'http://169.254.169.254/latest' } });
      await rejects(cacheOf().get(request({ url: url() })), says);
    });
  }

  it('is refused on this machine unless that is allowed, by name too (T14)', async () => {
    const port = server.host.split(':')[1];
    for (const url of [`http://${server.host}/a`, `http://localhost:${port}/a`])
      await rejects(cacheOf({ guard: NO_EXCEPTIONS }).get(request({ url })), /refused: .*loopback/);
    deepStrictEqual(server.seen, []);
  });

  it('is dropped when nobody has wanted it for long', async () => {
    const clock = new TestClock();
    parts = { ...parts, clock };
    server.files.set('/a.wasm', { body: MODULE });
    const cache = cacheOf();
    const path = await cache.get(request({ url: `http://${server.host}/a.wasm` }));
    clock.advance(9_500);
    strictEqual(cache.size, 1);
    clock.advance(2_000);
    strictEqual(cache.size, 0);
    const limitMs = performance.now() + 5_000;
    while (existsSync(path) && performance.now() < limitMs) await new Promise(setImmediate);
    strictEqual(existsSync(path), false);
  });
});

describe('a module in an image', () => {
  for (const form of ['docker', 'oci', 'artifact'] as const satisfies readonly ImageForm[]) {
    it(`is found in the form ${form}`, async () => {
      const digest = server.pushImage('a/b', '1', MODULE, form);
      const path = await cacheOf().get(request({ url: `oci://${server.host}/a/b:1`, sha256: digest }));
      deepStrictEqual([readFileSync(path), path.endsWith(`/${digest}.wasm`)], [MODULE, true]);
    });
  }

  it('is found behind an index, and by digest', async () => {
    const digest = server.pushImage('a/b', '1', MODULE);
    const manifests = [
      { digest: `sha256:${'0'.repeat(64)}`, platform: { os: 'linux', architecture: 's390x' } },
      { digest: `sha256:${digest}`, platform: { os: 'linux', architecture: 'amd64' } },
    ];
    server.pushManifest('a/b', 'index', { manifests }, 'application/vnd.oci.image.index.v1+json');
    const cache = cacheOf();
    const path = await cache.get(request({ url: `oci://${server.host}/a/b:index` }));
    const asked = server.seen.length;
    strictEqual(await cache.get(request({ url: `oci://${server.host}/a/b@sha256:${digest}` })), path);
    strictEqual(server.seen.length, asked);
  });

  it('is asked for again under the tag latest when the plugin has changed, but not pulled again', async () => {
    server.pushImage('a/b', 'latest', MODULE);
    const cache = cacheOf();
    const url = `oci://${server.host}/a/b:latest`;
    await cache.get(request({ url }));
    server.seen.length = 0;
    await cache.get(request({ url }));
    deepStrictEqual(server.seen, []);
    await cache.get(request({ url, revision: '2' }));
    deepStrictEqual(server.seen, ['/v2/a/b/manifests/latest']);
    await cache.get(request({ url, revision: '3', pullPolicy: 'if-not-present' }));
    strictEqual(server.seen.length, 1);
  });

  const insecure = () => ({ insecureHosts: new Set([server.host]) });

  it('is pulled with a token for the password of the pull secret', async () => {
    server.password = 'me:word';
    server.pushImage('a/b', '1', MODULE);
    const url = `oci://${server.host}/a/b:1`;
    ok(await cacheOf(insecure()).get(request({ url, pullSecret: pullSecret() })));
    deepStrictEqual(server.seen.slice(0, 3), [
      '/v2/a/b/manifests/1',
      '/token?scope=repository%3Ax%3Apull&service=test me:word',
      '/v2/a/b/manifests/1 the-token',
    ]);
    await rejects(cacheOf(insecure()).get(request({ url })), /token service .* status 401/);
    await rejects(
      cacheOf(insecure()).get(request({ url, pullSecret: pullSecret('me:wrong') })),
      /status 401/,
    );
  });

  it('is not pulled with a password over plain HTTP from a host that nobody listed', async () => {
    server.pushImage('a/b', '1', MODULE);
    const url = `oci://${server.host}/a/b:1`;
    await rejects(cacheOf().get(request({ url, pullSecret: pullSecret() })), /WASM_INSECURE_REGISTRIES/);
    deepStrictEqual(server.seen, []);
  });

  it('costs no password that a registry wants sent elsewhere (T15)', async () => {
    await using thief = await ModuleServer.start('127.83.4.2');
    server.password = 'me:word';
    for (const realm of [`http://${thief.host}/token`, 'file:///etc/passwd', 'nonsense']) {
      server.realm = realm;
      const url = `oci://${server.host}/a/b:1`;
      await rejects(cacheOf(insecure()).get(request({ url, pullSecret: pullSecret() })), /token service/);
    }
    deepStrictEqual(thief.seen, []);
  });

  it('takes no token along to where a layer lies', async () => {
    await using store = await ModuleServer.start('127.83.4.2');
    server.password = 'me:word';
    server.pushImage('a/b', '1', MODULE, 'artifact');
    const layer = `/v2/a/b/blobs/sha256:${sha256(MODULE)}`;
    store.files.set('/layer', { body: MODULE });
    server.files.set(layer, { status: 307, headers: { location: `http://${store.host}/layer` } });
    const url = `oci://${server.host}/a/b:1`;
    ok(await cacheOf(insecure()).get(request({ url, pullSecret: pullSecret() })));
    deepStrictEqual([store.seen, server.seen.at(-1)], [['/layer'], `${layer} the-token`]);
  });

  it('is refused when a layer or the manifest is not what its digest says', async () => {
    const digest = server.pushImage('a/b', '1', MODULE);
    server.corruptLayers();
    await rejects(cacheOf().get(request({ url: `oci://${server.host}/a/b:1` })), /a layer is not what/);
    server.files.set(`/v2/a/b/manifests/sha256:${digest}`, { body: Buffer.from('{}') });
    const url = `oci://${server.host}/a/b@sha256:${digest}`;
    await rejects(cacheOf().get(request({ url })), /the manifest is not what/);
    await rejects(cacheOf().get(request({ url: `oci://${server.host}/a/b:none` })), /status 404/);
    const metric = 'istio_agent_wasm_remote_fetch_count{result="manifest_failure"}';
    strictEqual(parts.metrics.count(metric), 2);
  });
});
