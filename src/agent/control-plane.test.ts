import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { ControlPlane, type ControlPlaneSettings } from './control-plane.ts';

const NAME = 'istiod.istio-system.svc';
const folder = mkdtempSync(join(tmpdir(), 'control-plane-'));
const sessions = new Set<ServerHttp2Session>();
const [old, next] = [await createIssuer('old'), await createIssuer('next')];
let server: Http2SecureServer;

before(async () => {
  writeFileSync(join(folder, 'root.pem'), old.root);
  const { chain, key } = await next.issue({ dns: [NAME] });
  server = createSecureServer({ cert: chain, key });
  server.on('session', (session) => sessions.add(session));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

after(() => {
  for (const session of sessions) session.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

function settings(): ControlPlaneSettings {
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    security: 'tls',
    rootCertPath: join(folder, 'root.pem'),
    serverName: NAME,
    tokenPath: join(folder, 'token'),
    clientCertificate: undefined,
    headers: [],
    compliance: '',
    clusterId: 'c',
  };
}

test('a control plane under a root that the mounted file does not have yet is known by the pushed bundle, and by nothing else', async () => {
  const clock = systemClock();
  const session = await new ControlPlane(settings(), clock, () => `${old.root}\n${next.root}\n`).connect();
  assert.equal(session.encrypted, true);
  session.destroy();
  await assert.rejects(new ControlPlane(settings(), clock, () => '').connect(), /verify|issuer|self-signed/);
});
