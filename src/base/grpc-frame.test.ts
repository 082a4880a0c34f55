/** Framing and status text: any cut of the stream gives the same messages; limits are kept before memory is spent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeGrpcMessage,
  encodeGrpcMessage,
  GRPC_RESOURCE_EXHAUSTED,
  GRPC_UNIMPLEMENTED,
  GrpcFrameError,
  GrpcFrameReader,
  grpcFrame,
} from './grpc-frame.ts';

test('messages come out whole, however the stream is cut', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
  fc.assert(
    fc.property(messages, fc.array(fc.nat(50)), (sent, cuts) => {
      const stream = Buffer.concat(sent.map(grpcFrame));
      const reader = new GrpcFrameReader(100);
      const got: number[][] = [];
      let at = 0;
      for (const cut of [...cuts, stream.length]) {
        for (const message of reader.push(stream.subarray(at, at + cut))) got.push([...message]);
        at += cut;
      }
      assert.deepStrictEqual(
        got,
        sent.map((message) => [...message]),
      );
      assert.equal(reader.pendingBytes, 0);
    }),
    { numRuns: 300 },
  );
});

test('a declared length over the limit is refused at its header', () => {
  const reader = new GrpcFrameReader(10);
  assert.throws(
    () => reader.push(Buffer.from([0, 0x06, 0x40, 0, 0])),
    (error) => error instanceof GrpcFrameError && error.status.code === GRPC_RESOURCE_EXHAUSTED,
  );
});

test('a compressed message is refused', () => {
  assert.throws(
    () => new GrpcFrameReader(10).push(Buffer.from([1, 0, 0, 0, 1, 9])),
    (error) => error instanceof GrpcFrameError && error.status.code === GRPC_UNIMPLEMENTED,
  );
});

test('a message that is declared long but sent little of keeps little', () => {
  const reader = new GrpcFrameReader(16 << 20);
  reader.push(Buffer.from([0, 0x01, 0, 0, 0, 1, 2, 3]));
  assert.equal(reader.pendingBytes, 3);
});

test('a status message survives the header encoding', () => {
  assert.equal(encodeGrpcMessage('100% ü\n'), '100%25 %C3%BC%0A');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) =>
      assert.equal(decodeGrpcMessage(encodeGrpcMessage(text)), text),
    ),
  );
});
