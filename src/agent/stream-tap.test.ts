import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { silentLogger } from '#base/logger.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { NameTableSchema } from '#proto/istio/networking/nds/v1/nds_pb.ts';
import { openNameFeed } from './dns-name-feed.ts';
import type { DnsNameTable } from './dns-name-table.ts';
import { peekTypeUrl } from './peek-type.ts';

const NDS = 'type.googleapis.com/istio.networking.nds.v1.NameTable';
const LDS = 'type.googleapis.com/envoy.config.listener.v3.Listener';
const SCOPE = { namespace: 'default', domain: 'svc.cluster.local', searchDomain: '' };

interface Message {
  readonly isNames: boolean;
  readonly sizeBytes: number;
  /** The type stands before the resources, as our server writes it, or behind them, as others do. */
  readonly isHeadFirst: boolean;
}

function encode({ isNames, sizeBytes, isHeadFirst }: Message, isDelta: boolean, nonce: string): Buffer {
  const typeUrl = isNames ? NDS : LDS;
  const host = 'a'.repeat(Math.max(1, Math.min(sizeBytes, 60)));
  const table = create(NameTableSchema, { table: { [`${host}.example.com`]: { ips: ['10.0.0.1'] } } });
  const value = isNames ? toBinary(NameTableSchema, table) : new Uint8Array(sizeBytes).fill(7);
  const resource = { typeUrl, value };
  const head = { typeUrl, nonce };
  const parts = isDelta
    ? [
        toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, head)),
        toBinary(
          DeltaDiscoveryResponseSchema,
          create(DeltaDiscoveryResponseSchema, {
            systemVersionInfo: 'v1',
            resources: [{ name: 'n', version: '1', resource }],
          }),
        ),
      ]
    : [
        toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, head)),
        toBinary(
          DiscoveryResponseSchema,
          create(DiscoveryResponseSchema, { versionInfo: 'v1', resources: [resource] }),
        ),
      ];
  return Buffer.concat(isHeadFirst ? parts : parts.reverse());
}

/** Cuts bytes at places that the test chooses. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] ?? 1);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

class Sink {
  readonly tables: DnsNameTable[] = [];
  update(table: DnsNameTable): void {
    this.tables.push(table);
  }
}

/** What comes out of a tap for what goes in. */
async function run(isDelta: boolean, responses: readonly Buffer[], requests: readonly Buffer[]) {
  const sink = new Sink();
  const tap = openNameFeed(sink, SCOPE, silentLogger()).open(isDelta);
  const up: Buffer[] = [];
  const down: Buffer[] = [];
  tap.requests.on('data', (chunk: Buffer) => up.push(chunk));
  tap.responses.on('data', (chunk: Buffer) => down.push(chunk));
  for (const chunk of requests) tap.requests.write(chunk);
  for (const chunk of responses) tap.responses.write(chunk);
  await new Promise<void>((resolve) => tap.responses.once('end', resolve).end());
  return { up: Buffer.concat(up), down: Buffer.concat(down), tables: sink.tables };
}

const message: fc.Arbitrary<Message> = fc.record({
  isNames: fc.boolean(),
  sizeBytes: fc.oneof(fc.nat(40), fc.nat(9_000)),
  isHeadFirst: fc.boolean(),
});
const sizes = fc.array(fc.integer({ min: 1, max: 4_000 }), { maxLength: 4 });

test('name tables are taken out and answered, all else passes as it came, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(message, { maxLength: 6 }),
      sizes,
      sizes,
      async (isDelta, messages, a, b) => {
        const encoded = messages.map((one, i) => encode(one, isDelta, `n${i}`));
        const envoy = [Buffer.from('first'), Buffer.alloc(300, 1)];
        const { up, down, tables } = await run(
          isDelta,
          cut(Buffer.concat(encoded.map((bytes) => grpcFrame(bytes))), a),
          cut(Buffer.concat(envoy.map((bytes) => grpcFrame(bytes))), b),
        );
        const passed = encoded.filter((_, i) => messages[i]?.isNames === false);
        assert.deepEqual(down, Buffer.concat(passed.map((bytes) => grpcFrame(bytes))));
        assert.equal(tables.length, messages.filter(({ isNames }) => isNames).length);
        const sent = new GrpcFrameReader(1 << 20).push(up).map((bytes) => Buffer.from(bytes));
        assert.deepEqual(sent[0], envoy[0]);
        const own = sent.filter((bytes) => !envoy.some((one) => one.equals(bytes)));
        const schema = isDelta ? DeltaDiscoveryRequestSchema : DiscoveryRequestSchema;
        const read = own.map((bytes) => fromBinary(schema, bytes));
        assert.deepEqual(
          read.map(({ typeUrl, responseNonce }) => [typeUrl, responseNonce]),
          [[NDS, ''], ...messages.flatMap(({ isNames }, i) => (isNames ? [[NDS, `n${i}`]] : []))],
        );
      },
    ),
    { numRuns: 200 },
  );
});

test('a table that cannot be read is refused and leaves the names as they are', async () => {
  const bytes = toBinary(
    DiscoveryResponseSchema,
    create(DiscoveryResponseSchema, {
      typeUrl: NDS,
      nonce: 'n',
      versionInfo: 'v9',
      resources: [{ typeUrl: NDS, value: Uint8Array.of(0x0a, 0x7f) }],
    }),
  );
  const { up, tables } = await run(false, [grpcFrame(bytes)], [grpcFrame(Buffer.from('first'))]);
  const [, , refusal = new Uint8Array()] = new GrpcFrameReader(1 << 20).push(up);
  const { errorDetail, responseNonce, versionInfo } = fromBinary(DiscoveryRequestSchema, refusal);
  assert.deepEqual(
    [errorDetail?.message !== '', responseNonce, versionInfo, tables.length],
    [true, 'n', '', 0],
  );
});

test('nothing is said before the client has said who it is, and an answer without a table changes nothing', async () => {
  const empty = toBinary(
    DiscoveryResponseSchema,
    create(DiscoveryResponseSchema, { typeUrl: NDS, nonce: 'n' }),
  );
  const silent = await run(false, [grpcFrame(empty)], []);
  assert.deepEqual([silent.up.length, silent.tables.length], [0, 0]);
});

test('the type of any bytes is a text or nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const type = peekTypeUrl(Buffer.from(bytes));
      assert.equal(type === undefined || typeof type === 'string', true);
    }),
  );
});
