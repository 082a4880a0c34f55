/**
 * Revoked certificates at real sidecars: the list that an operator puts beside the plugged-in CA is with every Envoy soon, without a
 * restart; whoever is on it is refused, on either side, and nobody else is. Leaf, intermediate and root, since Envoy wants a list of each.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { parseCertificates } from '#identity/certificate.ts';
import { generateKeyPair, printPrivateKey } from '#identity/key-pair.ts';
import { until } from './agent-fixture.ts';
import {
  makeOperatorsAuthority,
  type OperatorsAuthority,
  plugIn,
  plugInRevocations,
  revocationListOf,
} from './plugged-authority.ts';
import { APP_PORT, PROXY_PORT, RotationRig, type WorkloadName } from './rotation-rig.ts';

const HOUR_MS = 3_600_000;
const LIMIT_MS = 15_000;
/** More than go over one connection between the sidecars. */
const CALLS = 12;
const WORKLOADS: readonly WorkloadName[] = ['client', 'server'];

let rig: RotationRig;
let root: OperatorsAuthority;
let signing: OperatorsAuthority;
let [good, bad]: readonly Client[] = [];

before(async () => {
  root = await makeOperatorsAuthority('root');
  signing = await makeOperatorsAuthority('intermediate', root);
  rig = await RotationRig.start((cacerts) => plugIn(cacerts, signing, root), {
    ttlMs: HOUR_MS,
    // The operator's files are looked at every 5 s.
    waitMs: (delayMs) => (delayMs === 5_000 ? 200 : delayMs),
  });
  [good, bad] = await Promise.all([issue(), issue()]);
});

after(() => (rig as RotationRig | undefined)?.[Symbol.asyncDispose]());

interface Client {
  readonly key: string;
  readonly chain: string;
  readonly serial: string;
}

async function issue(): Promise<Client> {
  const keys = await generateKeyPair();
  const signed = await rig.authority.signer.sign({
    publicKey: keys.publicKey,
    identity: { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'client' },
    facts: {},
    ttlMs: 0,
  });
  if (!signed.ok) throw new Error(signed.error);
  const chain = signed.value.slice(0, -1).join('\n');
  return { key: printPrivateKey(keys).reveal(), chain, serial: serialOf(chain) };
}

function serialOf(chain: string): string {
  const parsed = parseCertificates(chain);
  return parsed.ok ? (parsed.value[0]?.serial ?? '') : '';
}

/** What a client of the mesh gets from the server's sidecar on a connection of its own. */
async function call(client: Client | undefined): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket: TLSSocket = connect({
    host: rig.address('server'),
    port: APP_PORT,
    key: client?.key,
    cert: client?.chain,
    rejectUnauthorized: false,
    ALPNProtocols: ['istio-http/1.1'],
  });
  socket.setTimeout(5_000, () => socket.destroy(new Error('no answer')));
  let text = '';
  socket.on('secureConnect', () =>
    socket.write(`GET / HTTP/1.1\r\nhost: server:${APP_PORT}\r\nconnection: close\r\n\r\n`),
  );
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', (error) => resolve(/certificate/i.test(error.message) ? 'refused' : error.message));
  socket.on('close', () => resolve(text.split(' ')[1] ?? 'closed'));
  return promise;
}

/** The statuses of calls through both sidecars, over more than one connection. */
async function through(): Promise<readonly number[]> {
  const seen = new Set<number>();
  for (let i = 0; i < CALLS; i++) {
    const options = {
      host: rig.address('client'),
      port: PROXY_PORT,
      headers: { host: `server:${APP_PORT}` },
    };
    const status = await new Promise<number>((resolve, reject) => {
      get({ ...options, path: '/', agent: false }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
      }).on('error', reject);
    });
    seen.add(status);
  }
  return [...seen];
}

/** Waits until both Envoys have lists for which something holds. */
async function both(what: string, isWanted: (revocations: string) => boolean): Promise<void> {
  for (const name of WORKLOADS) {
    await until(`${name}: ${what}`, LIMIT_MS, async () =>
      isWanted((await rig.secret(name)).revocations) ? true : undefined,
    );
  }
  await until('acknowledged', LIMIT_MS, () => (rig.bundle.proxies.acknowledged === 2 ? true : undefined));
}

async function revoke(serials: readonly string[], more = ''): Promise<void> {
  const list = revocationListOf(signing, serials);
  plugInRevocations(rig.cacerts, revocationListOf(root) + list + more);
  await both('the lists', (revocations) => revocations.includes(list.trim()));
}

async function refusedLists(what: string, pem: string): Promise<void> {
  plugInRevocations(rig.cacerts, pem);
  await until(what, LIMIT_MS, () => (rig.authority.problem() !== '' ? true : undefined));
  strictEqual(rig.authority.collectMetrics(Date.now()).get('lateen_ca_material_refused'), 1);
  deepStrictEqual([await call(bad), await call(good)], ['refused', '200'], what);
}

test('a revoked client is refused once its list is there, others go on, and no Envoy starts anew', async () => {
  const envoys = WORKLOADS.map((name) => rig.envoyPid(name));
  deepStrictEqual([await call(good), await call(bad), await through()], ['200', '200', [200]]);
  await revoke([bad?.serial ?? '']);
  deepStrictEqual([await call(bad), await call(good), await through()], ['refused', '200', [200]]);
  ok((await rig.counted('server', 'ssl.fail_verify_error$')) >= 1);

  await refusedLists('nonsense', 'nonsense');
  await refusedLists('no list of the root', revocationListOf(signing));
  const over = revocationListOf(signing, [], Date.now() - 1_000);
  await refusedLists('one that is over', revocationListOf(root) + over);

  await revoke([bad?.serial ?? '', 'abcd']);
  strictEqual(rig.authority.problem(), '');
  deepStrictEqual(
    WORKLOADS.map((name) => rig.envoyPid(name)),
    envoys,
  );
});

test('a revoked client gets no certificate by the one that it has', async () => {
  const proofs = await Promise.all(
    [bad, good].map((client) => {
      const parsed = parseCertificates(client?.chain ?? '');
      const certificate = parsed.ok ? parsed.value[0]?.x509.raw : undefined;
      return rig.authority.authenticator.authenticate({ authorization: undefined, certificate });
    }),
  );
  deepStrictEqual(
    proofs.map((proof) => proof.ok || proof.error),
    ['the client certificate has been revoked', true],
  );
});

test('a list that ends with no other after it lets nobody through', async () => {
  const end = Date.now() + 3_000;
  const short = revocationListOf(signing, [], end);
  plugInRevocations(rig.cacerts, revocationListOf(root) + short);
  await both('the list that ends', (revocations) => revocations.includes(short.trim()));
  strictEqual(await call(good), '200');
  await until('nobody comes through', LIMIT_MS, async () =>
    (await call(good)) === 'refused' ? true : undefined,
  );
  ok(Date.now() >= end - 1_000);
  await revoke([bad?.serial ?? '']);
  strictEqual(await call(good), '200');
});

test('a revoked server is refused by its clients', async () => {
  const serial = serialOf((await rig.secret('server')).chain);
  await revoke([bad?.serial ?? '', serial]);
  await until('no call comes through', LIMIT_MS, async () =>
    (await through()).at(-1) === 503 ? true : undefined,
  );
  ok((await rig.counted('client', 'server.*ssl.fail_verify_error$')) >= 1);
  await revoke([bad?.serial ?? '']);
  await until('calls come through again', LIMIT_MS, async () =>
    (await through()).at(-1) === 200 ? true : undefined,
  );
});

test('a new intermediate signs when all have its list, and the old one keeps its own', async () => {
  const old = signing;
  signing = await makeOperatorsAuthority('intermediate 2', root);
  const list = revocationListOf(signing);
  // As one swap of a mounted Secret: the lists first would not fit the authority that is still there.
  plugInRevocations(rig.cacerts, revocationListOf(root) + list + revocationListOf(old, [bad?.serial ?? '']));
  plugIn(rig.cacerts, signing, root);
  await until('the new intermediate signs', LIMIT_MS, () =>
    rig.authority.rotation.authority.certificate.subject === 'CN=intermediate 2' ? true : undefined,
  );
  strictEqual(rig.authority.rotation.lastSwitch, 'acknowledged');
  const fresh = await issue();
  deepStrictEqual([await call(bad), await call(good), await call(fresh)], ['refused', '200', '200']);
  // The next list says nothing of the old intermediate, whose certificates are still in use.
  await revoke([fresh.serial]);
  deepStrictEqual(
    [await call(bad), await call(good), await call(fresh), await through()],
    ['refused', '200', 'refused', [200]],
  );
});

test('lists that are taken away are checked no more', async () => {
  plugInRevocations(rig.cacerts, undefined);
  await both('no lists', (revocations) => revocations === '');
  deepStrictEqual([await call(bad), await call(good), await through()], ['200', '200', [200]]);
});
