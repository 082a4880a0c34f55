/** The hand codecs agree with the generated ones, in both directions, and refuse what is beyond the limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { WireError } from '#base/proto-wire.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { decodeDeltaRequest, decodeSotwRequest, encodeDeltaHead, encodeSotwHead } from './messages.ts';
import { CDS } from './resource-type.ts';
import { encodeDelta, encodeSotw } from './response-body.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const names = fc.array(text, { maxLength: 5 });
const error = fc.option(
  fc.record({ code: fc.integer({ min: -3, max: 20 }), message: text }, { noNullPrototype: true }),
  {
    nil: undefined,
  },
);

test('delta requests are read as the generated code writes them', () => {
  const claims = fc.dictionary(text, text, { maxKeys: 4, noNullPrototype: true });
  fc.assert(
    fc.property(names, names, claims, text, error, (subscribe, unsubscribe, versions, nonce, errorDetail) => {
      const bytes = toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          node: { id: 'n' },
          typeUrl: 't',
          resourceNamesSubscribe: subscribe,
          resourceNamesUnsubscribe: unsubscribe,
          initialResourceVersions: versions,
          responseNonce: nonce,
          ...(errorDetail === undefined ? {} : { errorDetail }),
        }),
      );
      const { node, initialVersions, error: read, ...rest } = decodeDeltaRequest(bytes);
      assert.deepStrictEqual(rest, { typeUrl: 't', subscribe, unsubscribe, nonce });
      assert.deepStrictEqual(new Map(initialVersions), new Map(Object.entries(versions)));
      assert.deepStrictEqual(read, errorDetail);
      assert.equal(Buffer.from(node ?? []).toString('hex'), '0a016e');
    }),
  );
});

test('state-of-the-world requests are read as the generated code writes them', () => {
  fc.assert(
    fc.property(names, text, text, error, (resourceNames, versionInfo, responseNonce, errorDetail) => {
      const message = { typeUrl: 't', resourceNames, versionInfo, responseNonce };
      const bytes = toBinary(
        DiscoveryRequestSchema,
        create(DiscoveryRequestSchema, { ...message, ...(errorDetail === undefined ? {} : { errorDetail }) }),
      );
      assert.deepStrictEqual(decodeSotwRequest(bytes), {
        node: undefined,
        typeUrl: 't',
        names: resourceNames,
        version: versionInfo,
        nonce: responseNonce,
        error: errorDetail,
      });
    }),
  );
});

test('responses are written as the generated code reads them, small and large resources alike', () => {
  const resource = fc.record({
    name: text,
    version: text,
    size: fc.constantFrom(0, 1, 100, 4_095, 4_096, 20_000),
  });
  fc.assert(
    fc.property(fc.array(resource, { maxLength: 6 }), names, (list, removed) => {
      const entries = list.map(({ name, version, size }): [string, ResourceEntry] => [
        name,
        { resource: { typeUrl: CDS.url, name, version, bytes: Buffer.alloc(size, name) }, causes: [] },
      ]);
      const head = { typeUrl: CDS.url, version: 'v/1', nonce: 'n-1', controlPlane: 'me' };
      const delta = encodeDelta(CDS, entries, (_, entry) => entry.resource.version);
      const sotw = encodeSotw(CDS, entries);
      const readDelta = fromBinary(
        DeltaDiscoveryResponseSchema,
        Buffer.concat([encodeDeltaHead(head, removed), ...delta.chunks]),
      );
      const readSotw = fromBinary(
        DiscoveryResponseSchema,
        Buffer.concat([encodeSotwHead(head), ...sotw.chunks]),
      );
      assert.equal(
        delta.sizeBytes,
        delta.chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      );
      assert.deepStrictEqual(
        readDelta.resources.map(({ name, version, resource: any }) => [
          name,
          version,
          any?.typeUrl,
          any?.value.length,
        ]),
        list.map(({ name, version, size }) => [name, version, CDS.url, size]),
      );
      assert.deepStrictEqual(
        [readDelta.removedResources, readDelta.nonce, readDelta.systemVersionInfo],
        [removed, 'n-1', 'v/1'],
      );
      assert.equal(readDelta.controlPlane?.identifier, 'me');
      assert.deepStrictEqual(
        readSotw.resources.map(({ typeUrl, value }) => [typeUrl, Buffer.from(value).toString()]),
        entries.map(([, entry]) => [CDS.url, Buffer.from(entry.resource.bytes).toString()]),
      );
      assert.deepStrictEqual(
        [readSotw.versionInfo, readSotw.nonce, readSotw.typeUrl],
        ['v/1', 'n-1', CDS.url],
      );
    }),
    { numRuns: 60 },
  );
});

test('a name beyond the limit is refused, and so are more names than anybody needs', () => {
  const long = create(DeltaDiscoveryRequestSchema, { resourceNamesSubscribe: ['x'.repeat(5_000)] });
  assert.throws(() => decodeDeltaRequest(toBinary(DeltaDiscoveryRequestSchema, long)), WireError);
  const many = Buffer.concat(Array.from({ length: 100_001 }, () => Buffer.from([0x1a, 0])));
  assert.throws(() => decodeDeltaRequest(many), WireError);
  assert.throws(() => decodeSotwRequest(many), WireError);
});
