/** The secure door: who is calling, with a certificate, with somebody else's, and without. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { connect as connectHttp2 } from 'node:http2';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import type { Peer, PeerConnection } from '#ads/peer.ts';
import { grpcStatus } from '#base/grpc-frame.ts';
import { ok } from '#base/result.ts';
import {
  createTestAuthority,
  type TestAuthority,
  type WorkloadCertificate,
} from '../envoy/workload-certificates.ts';
import { GrpcRig } from './grpc-rig.ts';

const WHO = '/test.Who/Ami';

interface Setting {
  readonly rig: GrpcRig;
  readonly authority: TestAuthority;
  readonly port: number;
  readonly seen: PeerConnection[];
}

async function serving(run: (setting: Setting) => Promise<void>): Promise<void> {
  const authority = await createTestAuthority();
  const own = await authority.issue('spiffe://cluster.local/ns/istio-system/sa/istiod', { CN: 'istiod' });
  const seen: PeerConnection[] = [];
  await using rig = new GrpcRig(
    {},
    {
      authenticate: async (connection) => {
        seen.push(connection);
        return ok({ identity: undefined, isTrusted: connection.tls?.isVerified ?? false });
      },
    },
  );
  rig.server.unary(WHO, async (_request, peer: Peer) => Buffer.from(peer.isTrusted ? 'trusted' : 'stranger'));
  const { port } = await rig.server.listenTls('127.0.0.1', 0, materialOf(authority, own));
  await run({ rig, authority, port, seen });
}

function materialOf(authority: TestAuthority, own: WorkloadCertificate) {
  return { certificateChain: own.chain, privateKey: own.key, clientCas: [authority.root] };
}

async function ask({ rig, authority, port }: Setting, client?: WorkloadCertificate): Promise<string> {
  const pem = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  const channel = credentials.createSsl(Buffer.from(authority.root), pem(client?.key), pem(client?.chain), {
    checkServerIdentity: () => undefined,
  });
  return (
    await rig.unary(
      WHO,
      Buffer.alloc(0),
      rig.client(`127.0.0.1:${port}`, channel, { 'grpc.ssl_target_name_override': 'localhost' }),
    )
  ).toString();
}

test('a client with a certificate of ours is verified, and its certificate is at hand', () =>
  serving(async (setting) => {
    const client = await setting.authority.issue('spiffe://cluster.local/ns/default/sa/app', { CN: 'app' });
    assert.equal(await ask(setting, client), 'trusted');
    const leaf = new X509Certificate(setting.seen[0]?.tls?.chain[0] ?? Buffer.alloc(0));
    assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/default/sa/app');
    assert.equal(setting.seen[0]?.transport, 'tls');
  }));

test('a client with a certificate of another authority is let in unverified, for a token may speak for it', () =>
  serving(async (setting) => {
    const stranger = await (await createTestAuthority()).issue('spiffe://cluster.local/ns/default/sa/app', {
      CN: 'app',
    });
    assert.equal(await ask(setting, stranger), 'stranger');
    assert.equal(setting.seen[0]?.tls?.isVerified, false);
  }));

test('a client without a certificate is let in as nobody', () =>
  serving(async (setting) => {
    assert.equal(await ask(setting), 'stranger');
    assert.deepStrictEqual(setting.seen[0]?.tls, { chain: [], isVerified: false });
  }));

test('new certificates serve new connections', () =>
  serving(async ({ rig, authority }) => {
    const first = await authority.issue('spiffe://cluster.local/ns/a/sa/a', { CN: 'first' });
    const listening = await rig.server.listenTls('127.0.0.1', 0, materialOf(authority, first));
    const nameOf = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connectTls(
          {
            port: listening.port,
            host: '127.0.0.1',
            ca: authority.root,
            ALPNProtocols: ['h2'],
            checkServerIdentity: () => undefined,
          },
          () => {
            resolve(String(socket.getPeerCertificate().subject.CN));
            socket.destroy();
          },
        );
        socket.on('error', reject);
      });
    assert.equal(await nameOf(), 'first');
    listening.setTls(
      materialOf(authority, await authority.issue('spiffe://cluster.local/ns/a/sa/a', { CN: 'second' })),
    );
    assert.equal(await nameOf(), 'second');
  }));

test('TLS below 1.2 and clients that speak no h2 are turned away', () =>
  serving(async ({ port, authority }) => {
    const tryTls = (options: object): Promise<string> =>
      new Promise((resolve) => {
        const socket = connectTls(
          { port, host: '127.0.0.1', ca: authority.root, checkServerIdentity: () => undefined, ...options },
          () => {
            socket.write('GET / HTTP/1.1\r\n\r\n');
          },
        );
        let answer = '';
        socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
        socket.on('error', () => resolve('error'));
        socket.on('close', () => resolve(answer.split('\r\n')[0] ?? ''));
      });
    assert.equal(await tryTls({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }), 'error');
    assert.equal(await tryTls({ ALPNProtocols: ['http/1.1'] }), 'error');
  }));

test('a stream whose handler closes it at once still tells the client', () =>
  serving(async ({ rig, port, authority }) => {
    rig.server.stream('/test.Shut/Door', (stream) => {
      stream.start({ onMessages: () => {}, onHalfClose: () => {}, onEnd: () => {} });
      stream.close(grpcStatus(7, 'shut'));
    });
    const session = connectHttp2(`https://127.0.0.1:${port}`, {
      ca: authority.root,
      checkServerIdentity: () => undefined,
    });
    const call = session.request({
      ':method': 'POST',
      ':path': '/test.Shut/Door',
      'content-type': 'application/grpc',
    });
    const trailers = await new Promise<Record<string, unknown>>((resolve) =>
      call.resume().on('trailers', resolve),
    );
    assert.deepStrictEqual([trailers['grpc-status'], trailers['grpc-message']], ['7', 'shut']);
    session.destroy();
  }));
