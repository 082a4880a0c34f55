/**
 * Peers under a root that mesh config names (caCertificates), at a real sidecar that demands mutual TLS: let in when root and trust
 * domain are named, refused with one of the two alone, and when neither is there any longer.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { openMeshTrustAnchors } from '#main/mesh-trust-anchors.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { until } from './agent-fixture.ts';
import { makeOperatorsAuthority, plugIn } from './plugged-authority.ts';
import { APP_PORT, RotationRig } from './rotation-rig.ts';

const LIMIT_MS = 15_000;
const far = await createIssuer('far');
const peer = await far.issue({ uri: 'spiffe://far.example/ns/default/sa/client' });

let rig: RotationRig;
let anchors: Disposable;

before(async () => {
  const root = await makeOperatorsAuthority('root');
  const signing = await makeOperatorsAuthority('intermediate', root);
  rig = await RotationRig.start((cacerts) => plugIn(cacerts, signing, root), { ttlMs: 3_600_000 });
  const { mesh } = rig;
  anchors = openMeshTrustAnchors({ mesh, clock: systemClock(), log: silentLogger(), loopback: false });
});

after(async () => {
  (anchors as Disposable | undefined)?.[Symbol.dispose]();
  await (rig as RotationRig | undefined)?.[Symbol.asyncDispose]();
});

async function configure(caCertificates: NonNullable<MeshConfigJson['caCertificates']>): Promise<void> {
  const { mesh } = rig;
  mesh.meshConfig.set(MESH_KEY, { ...defaultMeshConfig(), caCertificates });
  mesh.driver.poke();
  await mesh.driver.settled();
}

/** What the foreign peer gets from the server's sidecar on a connection of its own. */
async function call(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const [host, port] = [rig.address('server'), APP_PORT];
  const ALPNProtocols = ['istio-http/1.1'];
  const socket = connect({
    host,
    port,
    key: peer.key,
    cert: peer.chain,
    rejectUnauthorized: false,
    ALPNProtocols,
  });
  socket.setTimeout(5_000, () => socket.destroy(new Error('no answer')));
  let text = '';
  socket.on('secureConnect', () =>
    socket.write(`GET / HTTP/1.1\r\nhost: server:${APP_PORT}\r\nconnection: close\r\n\r\n`),
  );
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', (error) =>
    resolve(/certificate|unknown ca/i.test(error.message) ? 'refused' : error.message),
  );
  socket.on('close', () => resolve(text.split(' ')[1] ?? 'closed'));
  return promise;
}

async function comesTo(answer: string): Promise<void> {
  await until(`the peer gets ${answer}`, LIMIT_MS, async () =>
    (await call()) === answer ? true : undefined,
  );
}

test('a peer of another trust domain comes in with its root and its domain named, and not otherwise', async () => {
  const named = { pem: far.root, trustDomains: ['far.example'] };
  deepStrictEqual(await call(), 'refused', 'neither');
  await configure([named]);
  await comesTo('200');
  await configure([{ pem: far.root }]);
  await comesTo('refused');
  await configure([named]);
  await comesTo('200');
  await configure([{ trustDomains: ['far.example'] }]);
  await comesTo('refused');
});
