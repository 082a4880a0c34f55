/** The hand codec: round trips, agreement with the protobuf runtime's encoding, refusal of every truncation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { varintSize, WireError, WireReader, WireWriter } from './proto-wire.ts';

test('fields are written as the protobuf runtime writes them', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.string({ unit: 'grapheme' }),
      fc.uint8Array(),
      fc.integer({ min: 1, max: 5000 }),
      (n, s, b, f) => {
        const ours = new WireWriter(1).varint(f, n).string(f, s).bytes(f, b).finish();
        const theirs = new BinaryWriter();
        theirs.tag(f, WireType.Varint).uint32(n);
        theirs.tag(f, WireType.LengthDelimited).string(s);
        theirs.tag(f, WireType.LengthDelimited).bytes(b);
        assert.deepStrictEqual([...ours], [...theirs.finish()]);
        assert.equal(varintSize(n), new WireWriter().rawVarint(n).length);
      },
    ),
  );
});

test('fields are read back, unknown and unread ones are skipped', () => {
  const writer = new BinaryWriter();
  writer
    .tag(1, WireType.Varint)
    .int32(-7)
    .tag(9, WireType.Bit32)
    .fixed32(1)
    .tag(2, WireType.Bit64)
    .double(1.5);
  writer.tag(3, WireType.LengthDelimited).string('grüße').tag(8, WireType.LengthDelimited).string('unread');
  const got: unknown[] = [];
  const reader = new WireReader(writer.finish());
  while (reader.next()) {
    if (reader.field === 1) got.push(reader.int32());
    if (reader.field === 2) got.push(reader.double());
    if (reader.field === 3) got.push(reader.string());
  }
  assert.deepStrictEqual(got, [-7, 1.5, 'grüße']);
  assert.equal(new BinaryReader(writer.finish()).len, writer.finish().length);
});

test('arbitrary bytes end in fields or in WireError, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        const reader = new WireReader(bytes);
        while (reader.next()) if (reader.wireType === 2) reader.string();
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test('a field that ends after the message does is refused', () => {
  const whole = new WireWriter().string(1, 'hello').finish();
  for (let length = 1; length < whole.length; length++) {
    const reader = new WireReader(whole.subarray(0, length));
    assert.throws(() => {
      while (reader.next()) reader.string();
    }, WireError);
  }
});
