/**
 * Certificates turned over under load: the operator's intermediate and root, and the workloads' own again and again. Between two real
 * sidecars with mutual TLS no request fails, and a stream that was open before is open after.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import { parseCertificates } from '#identity/certificate.ts';
import { until } from './agent-fixture.ts';
import { makeOperatorsAuthority, type OperatorsAuthority, plugIn } from './plugged-authority.ts';
import { APP_PORT, PROXY_PORT, RotationRig, type WorkloadName } from './rotation-rig.ts';
import { type LoadResult, startLoad } from './steady-load.ts';

const IS_LONG = process.env['LATEEN_LONG'] === '1';
const REQUESTS = IS_LONG ? 100_000 : 10_000;
const PER_SECOND = 450;
/** The CA looks at its files every 5 s; agents renew after about 3 s. */
const PHASE_LIMIT_MS = 20_000;
const WORKLOADS: readonly WorkloadName[] = ['client', 'server'];

let rig: RotationRig;
let root: OperatorsAuthority;
let generation = 0;
/** From the first look at the first new root until it signed. */
let switchMs = 0;

before(async () => {
  root = await makeOperatorsAuthority('root 0');
  const signing = await makeOperatorsAuthority('intermediate 0', root);
  rig = await RotationRig.start((cacerts) => plugIn(cacerts, signing, root));
});

after(() => (rig as RotationRig | undefined)?.[Symbol.asyncDispose]());

interface Held {
  readonly serial: string;
  /** Names of who signed the leaf, and of the roots that are believed. */
  readonly issuer: string;
  readonly roots: readonly string[];
}

async function held(name: WorkloadName): Promise<Held> {
  const { chain, roots } = await rig.secret(name);
  const parsed = [parseCertificates(chain), parseCertificates(roots)].map((one) => (one.ok ? one.value : []));
  const [own = [], believed = []] = parsed;
  const [leaf] = own;
  return {
    serial: leaf?.serial ?? '',
    issuer: leaf?.x509.issuer.replace('CN=', '') ?? '',
    roots: believed.map(({ subject }) => subject.replace('CN=', '')).sort(),
  };
}

/** Waits until both workloads hold what is wanted. */
async function both(what: string, isWanted: (one: Held) => boolean): Promise<void> {
  for (const name of WORKLOADS) {
    await until(`${name}: ${what}`, PHASE_LIMIT_MS, async () =>
      isWanted(await held(name)) ? true : undefined,
    );
  }
}

/** A new intermediate under the same root signs at once. */
async function rotateIntermediate(): Promise<void> {
  const signing = await makeOperatorsAuthority(`intermediate ${++generation}`, root);
  plugIn(rig.cacerts, signing, root);
  await both('the new intermediate', ({ issuer }) => issuer === signing.name);
}

/** A new root is believed by all, then signs, and the old one is forgotten when nothing of it is left. */
async function rotateRoot(): Promise<void> {
  const old = root;
  root = await makeOperatorsAuthority(`root ${++generation}`);
  const signing = await makeOperatorsAuthority(`intermediate ${generation}`, root);
  let introducedMs = 0;
  using _watch = rig.authority.rotation.watch(() => {
    if (rig.authority.rotation.isPending) introducedMs ||= performance.now();
    else switchMs ||= performance.now() - introducedMs;
  });
  plugIn(rig.cacerts, signing, root);
  await both('both roots', ({ roots }) => roots.join() === [old.name, root.name].sort().join());
  await both('the new authority', ({ issuer }) => issuer === signing.name);
  // Not the limit, which is minutes away: both proxies have said that they have the new root in place.
  strictEqual(rig.authority.rotation.lastSwitch, 'acknowledged');
  const { acknowledged, waiting, unsubscribed } = rig.bundle.proxies;
  deepStrictEqual({ acknowledged, waiting, unsubscribed }, { acknowledged: 2, waiting: 0, unsubscribed: 0 });
  await both('the new root alone', ({ roots }) => roots.join() === root.name);
}

function openStream(target: { readonly host: string; readonly port: number }): Promise<string> {
  const headers = { host: `server:${APP_PORT}` };
  return new Promise((resolve, reject) => {
    const call = get({ ...target, path: '/stream', headers, agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('error', reject);
      answer.on('end', () => resolve(text));
    });
    call.on('error', reject);
  });
}

test('intermediate, root and workload certificates turn over without a failed request', async (context) => {
  const target = { host: rig.address('client'), port: PROXY_PORT };
  const request = { ...target, name: 'server', path: '/', headers: { host: `server:${APP_PORT}` } };
  const serials = new Set<string>();
  const stream = openStream(target);
  const load = startLoad([{ ...request, perSecond: PER_SECOND }]);
  let result: LoadResult;
  const endMs = performance.now() + (REQUESTS / PER_SECOND) * 1000;
  const watch = setInterval(() => void held('client').then(({ serial }) => serials.add(serial)), 1_000);
  try {
    do {
      await rotateIntermediate();
      await rotateRoot();
    } while (performance.now() + PHASE_LIMIT_MS < endMs);
    const restMs = Math.max(0, endMs - performance.now()) + PHASE_LIMIT_MS;
    await until('all requests', restMs, () => (load.ended >= REQUESTS ? true : undefined));
  } finally {
    clearInterval(watch);
    result = await load.stop();
  }
  await fetchEnd(target);
  const text = await stream;
  const handshakes = await rig.counted('server', 'ssl.handshake$');
  context.diagnostic(
    `rotation: ${result.requests} requests in ${result.seconds.toFixed(0)} s, ${handshakes} handshakes, ` +
      `${generation} authorities, the first root signed after ${switchMs.toFixed(0)} ms, ${serials.size} certificates of the client, p99 ${result.p99Ms.toFixed(0)} ms, ${result.failures.length} failed`,
  );
  deepStrictEqual(result.failures, []);
  ok(result.requests >= REQUESTS, `${result.requests} requests`);
  ok(text.startsWith('begin ') && text.endsWith(' end'), text.slice(-20));
  ok(serials.size >= 5, `${serials.size} certificates`);
  ok(handshakes >= REQUESTS / 20, `${handshakes} handshakes`);
  ok((await rig.counted('client', 'server.*upstream_rq_total$')) >= REQUESTS);
  // What the sidecars would have mended in silence.
  const mended = ['upstream_rq_retry$', 'upstream_rq_rx_reset$', 'upstream_cx_connect_fail$', 'ssl.*fail'];
  for (const pattern of mended) strictEqual(await rig.counted('client', `server.*${pattern}`), 0, pattern);
  strictEqual(await rig.counted('server', 'ssl.(connection_error|fail_verify.*)$'), 0);
});

async function fetchEnd({ host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  const headers = { host: `server:${APP_PORT}` };
  await new Promise<void>((resolve, reject) => {
    get({ host, port, path: '/end', headers, agent: false }, (answer) =>
      answer.resume().on('end', resolve),
    ).on('error', reject);
  });
}
