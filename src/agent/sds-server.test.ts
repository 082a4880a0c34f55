import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { Secret } from '#base/secret.ts';
import { SecretSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { secretTypeUrl } from './discovery-message.ts';
import { SdsServer, type SecretSource } from './sds-server.ts';
import { UnixGrpcServer } from './unix-grpc-server.ts';
import type { WorkloadSecrets } from './workload-certificate.ts';

const service = '/envoy.service.secret.v3.SecretDiscoveryService';

const TAKEN = { isRefused: false, problem: '' };

/** Secrets that a test sets. */
class TestSource implements SecretSource {
  current: WorkloadSecrets | undefined;
  #changed: () => void = () => {};

  watch(changed: () => void): Disposable {
    this.#changed = changed;
    return { [Symbol.dispose]: () => {} };
  }

  set(chainPem: string, rootsPem = 'roots'): void {
    const leaf = {} as WorkloadSecrets['leaf'];
    this.current = {
      chainPem,
      privateKey: new Secret(`key of ${chainPem}`),
      rootsPem,
      authorityRootsPem: '',
      revocationsPem: '',
      leaf,
    };
    this.#changed();
  }
}

/** One call of a client: messages one by one, then the status. */
class TestCall {
  readonly stream: ClientHttp2Stream;
  readonly messages: Uint8Array[] = [];
  status: string | undefined;

  constructor(session: ClientHttp2Session, path: string) {
    this.stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    this.stream.on('error', () => {});
    const reader = new GrpcFrameReader(1 << 20);
    this.stream.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) this.messages.push(Uint8Array.from(message));
      this.stream.emit('message');
    });
    this.stream.on('trailers', (trailers) => {
      this.status = String(trailers['grpc-status']);
    });
  }

  send(message: Uint8Array): void {
    this.stream.write(grpcFrame(message));
  }

  async next(): Promise<Uint8Array> {
    while (this.messages.length === 0) await once(this.stream, 'message');
    return this.messages.shift() ?? new Uint8Array();
  }

  /** Gives the messages that come within a round trip on the connection. */
  async nothingMore(session: ClientHttp2Session): Promise<void> {
    await new Promise<void>((resolve) => session.ping(() => resolve()));
    assert.equal(this.messages.length, 0);
  }
}

let folder = '';
let source: TestSource;
let clock: TestClock;
let sds: SdsServer;
let door: UnixGrpcServer;
let session: ClientHttp2Session;

function openSotw(): { call: TestCall; ask: (names: string[], nonce?: string, error?: string) => void } {
  const call = new TestCall(session, `${service}/StreamSecrets`);
  const ask = (resourceNames: string[], responseNonce = '', error = ''): void => {
    const detail = error === '' ? {} : { errorDetail: { code: 3, message: error } };
    const request = create(DiscoveryRequestSchema, {
      typeUrl: secretTypeUrl,
      resourceNames,
      responseNonce,
      ...detail,
    });
    call.send(toBinary(DiscoveryRequestSchema, request));
  };
  return { call, ask };
}

function openDelta(): { call: TestCall; ask: (subscribe: string[], unsubscribe?: string[]) => void } {
  const call = new TestCall(session, `${service}/DeltaSecrets`);
  const ask = (resourceNamesSubscribe: string[], resourceNamesUnsubscribe: string[] = []): void => {
    const fields = { typeUrl: secretTypeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe };
    call.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields)));
  };
  return { call, ask };
}

/** What a secret holds, in short. */
function showSecret(bytes: Uint8Array | undefined): string {
  const secret = fromBinary(SecretSchema, bytes ?? new Uint8Array());
  const text = (data: { specifier: { value?: unknown } } | undefined): string =>
    Buffer.from((data?.specifier.value as Uint8Array | undefined) ?? []).toString();
  if (secret.type.case === 'tlsCertificate') {
    return `${secret.name}: ${text(secret.type.value.certificateChain)}, ${text(secret.type.value.privateKey)}`;
  }
  if (secret.type.case === 'validationContext') return `${secret.name}: ${text(secret.type.value.trustedCa)}`;
  return secret.name;
}

async function nextSotw(call: TestCall): Promise<{ nonce: string; secrets: string[] }> {
  const response = fromBinary(DiscoveryResponseSchema, await call.next());
  assert.equal(response.typeUrl, secretTypeUrl);
  return { nonce: response.nonce, secrets: response.resources.map((any) => showSecret(any.value)) };
}

async function nextDelta(call: TestCall): Promise<{ secrets: string[]; removed: string[] }> {
  const response = fromBinary(DeltaDiscoveryResponseSchema, await call.next());
  assert.equal(response.typeUrl, secretTypeUrl);
  return {
    secrets: response.resources.map((one) => `${one.name}@${one.version} ${showSecret(one.resource?.value)}`),
    removed: response.removedResources,
  };
}

describe('the secret server', () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sds-'));
  });

  after(() => rmSync(folder, { recursive: true }));

  beforeEach(async () => {
    source = new TestSource();
    clock = new TestClock();
    sds = new SdsServer(source, { clock, log: silentLogger() });
    const path = join(folder, 'run', 'socket');
    door = new UnixGrpcServer(path, sds.handlers, silentLogger());
    await door.listen();
    session = connect('http://localhost', { createConnection: () => connectSocket(path) });
  });

  afterEach(async () => {
    session.destroy();
    sds[Symbol.dispose]();
    await door.close();
  });

  describe('secrets over state of the world', () => {
    it('are sent when asked for, and again after a rotation', async () => {
      source.set('one');
      const { call, ask } = openSotw();
      ask(['default']);
      const first = await nextSotw(call);
      assert.deepEqual(first, { nonce: '1', secrets: ['default: one, key of one'] });
      ask(['default'], '1');
      await call.nothingMore(session);
      source.set('two');
      assert.deepEqual(await nextSotw(call), { nonce: '2', secrets: ['default: two, key of two'] });
    });

    it('wait for the first certificate (T35)', async () => {
      const { call, ask } = openSotw();
      ask(['ROOTCA', 'default']);
      await call.nothingMore(session);
      source.set('one');
      assert.deepEqual((await nextSotw(call)).secrets, ['ROOTCA: roots', 'default: one, key of one']);
    });

    it('are in place when every stream that asked for the roots has taken the newest', async () => {
      source.set('one');
      assert.deepEqual(await sds.rootsInPlace(), TAKEN);
      const { call, ask } = openSotw();
      ask(['ROOTCA']);
      await call.next();
      const first = sds.rootsInPlace();
      ask(['ROOTCA'], '1');
      assert.deepEqual(await first, TAKEN);
      source.set('one', 'other roots');
      await call.next();
      const second = sds.rootsInPlace();
      ask(['ROOTCA'], '1');
      ask(['ROOTCA'], '2', 'no');
      assert.deepEqual(await second, { isRefused: true, problem: 'Envoy refused the roots: no' });
      source.set('one', 'roots');
      const third = sds.rootsInPlace();
      clock.advance(15_000);
      assert.deepEqual(await third, { isRefused: false, problem: 'Envoy has not answered' });
      const fourth = sds.rootsInPlace();
      call.stream.destroy();
      assert.deepEqual(await fourth, TAKEN);
    });

    it('are not sent again to a client that refused them, nor on a stale nonce', async () => {
      source.set('one');
      const { call, ask } = openSotw();
      ask(['default']);
      await call.next();
      ask(['default'], '1', 'no');
      ask(['ROOTCA'], '0');
      await call.nothingMore(session);
    });

    it('of other names are not known', async () => {
      source.set('one');
      const { call, ask } = openSotw();
      ask(['kubernetes://other']);
      await call.nothingMore(session);
    });
  });

  describe('secrets over delta', () => {
    it('are sent once per change; unknown names are answered as removed', async () => {
      source.set('one');
      const { call, ask } = openDelta();
      ask(['default', 'other']);
      assert.deepEqual(await nextDelta(call), {
        secrets: ['default@1 default: one, key of one'],
        removed: ['other'],
      });
      ask(['ROOTCA']);
      assert.deepEqual(await nextDelta(call), { secrets: ['ROOTCA@1 ROOTCA: roots'], removed: [] });
      source.set('two');
      // The roots are the same: what did not change is not sent.
      assert.deepEqual((await nextDelta(call)).secrets, ['default@2 default: two, key of two']);
      ask([], ['default']);
      ask(['default']);
      assert.deepEqual((await nextDelta(call)).secrets, ['default@2 default: two, key of two']);
    });
  });

  describe('secrets from files', () => {
    it('are sent once they can be read, over both protocols', async () => {
      const path = join(folder, 'ca.pem');
      const name = `file-root:${path}`;
      rmSync(path, { force: true });
      const [sotw, delta] = [openSotw(), openDelta()];
      sotw.ask([name]);
      delta.ask([name]);
      assert.deepEqual(await nextDelta(delta.call), { secrets: [], removed: [name] });
      await sotw.call.nothingMore(session);
      const { root } = await createIssuer('test');
      writeFileSync(path, root);
      clock.advance(5_000);
      assert.deepEqual((await nextDelta(delta.call)).secrets, [`${name}@file-1 ${name}: ${root}`]);
      assert.deepEqual((await nextSotw(sotw.call)).secrets, [`${name}: ${root}`]);
    });
  });

  describe('the door', () => {
    it('lets nobody in but the own user', () => {
      assert.equal(statSync(join(folder, 'run', 'socket')).mode & 0o777, 0o600);
      assert.equal(statSync(join(folder, 'run')).mode & 0o777, 0o700);
    });

    it('ends a call with broken, oversized or strange messages, and goes on with others', async () => {
      source.set('one');
      const wrongType = toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { typeUrl: 'x' }));
      const cases: readonly [bytes: Buffer, status: string][] = [
        [grpcFrame(Buffer.from([0x1a, 0xff])), '3'],
        [grpcFrame(wrongType), '3'],
        [Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), '8'],
        [Buffer.from([1, 0, 0, 0, 1, 0]), '12'],
      ];
      for (const [bytes, status] of cases) {
        const { call } = openSotw();
        call.stream.write(bytes);
        await once(call.stream, 'end');
        assert.equal(call.status, status);
      }
      const unknown = new TestCall(session, `${service}/FetchSecrets`);
      await once(unknown.stream, 'end');
      assert.equal(unknown.status, '12');
      const { call, ask } = openSotw();
      ask(['default']);
      assert.equal((await nextSotw(call)).secrets.length, 1);
    });

    it('does not remove what is no socket', () => {
      const path = join(folder, 'file');
      writeFileSync(path, 'x');
      assert.throws(() => new UnixGrpcServer(path, new Map(), silentLogger()).listen(), /it is no socket/);
    });
  });
});
