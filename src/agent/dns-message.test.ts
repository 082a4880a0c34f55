import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as dnsPacket from 'dns-packet';
import fc from 'fast-check';
import {
  type DnsQuery,
  encodeAnswer,
  encodeFailure,
  encodeRefusal,
  isAnswerTo,
  MAX_MESSAGE_BYTES,
  RCODE_SERVER_FAILURE,
  readQuery,
  relayedAnswer,
  TYPE_AAAA,
  withId,
} from './dns-message.ts';

type PacketParts = Partial<dnsPacket.Packet>;

function packet(name: string, type: dnsPacket.RecordType = 'A', more: PacketParts = {}): Buffer {
  const flags = dnsPacket.RECURSION_DESIRED;
  return dnsPacket.encode({ type: 'query', id: 77, flags, questions: [{ name, type }], ...more });
}

const EDNS: PacketParts = {
  additionals: [
    {
      type: 'OPT',
      name: '.',
      udpPayloadSize: 1400,
      flags: 0,
      options: [],
      extendedRcode: 0,
      ednsVersion: 0,
      flag_do: false,
    },
  ],
};

function query(bytes: Buffer): DnsQuery {
  const read = readQuery(bytes);
  if (!('bytes' in read)) throw new Error(`refused with ${read.rcode}`);
  return read;
}

function addresses(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => Uint8Array.of(10, 0, i >> 8, i & 255));
}

const ANSWER = { rcode: 0, isAuthoritative: true, canonicalName: undefined, ttlSeconds: 30 };

test('a question is read as another library wrote it', () => {
  const plain = query(packet('Reviews.Default.svc', 'AAAA'));
  assert.deepEqual(
    [plain.name, plain.type, plain.hasEdns, plain.datagramBytes],
    ['reviews.default.svc.', TYPE_AAAA, false, 512],
  );
  const withEdns = query(packet('a', 'A', EDNS));
  assert.deepEqual([withEdns.name, withEdns.hasEdns, withEdns.datagramBytes], ['a.', true, 1400]);
  assert.equal(query(packet('.')).name, '.');
});

test('what is no query is refused, or not answered at all', () => {
  const good = packet('a.example.com');
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const copy = Buffer.from(good);
    change(copy);
    return copy;
  };
  const cases: readonly (readonly [string, Buffer, number | undefined])[] = [
    ['too short', good.subarray(0, 11), undefined],
    ['a response', changed((bytes) => bytes.writeUInt8(0x80, 2)), undefined],
    ['another operation', changed((bytes) => bytes.writeUInt8(0x28, 2)), 4],
    ['no question', changed((bytes) => bytes.writeUInt16BE(0, 4)), 1],
    ['two questions', changed((bytes) => bytes.writeUInt16BE(2, 4)), 1],
    ['a name that ends early', good.subarray(0, 16), 1],
    ['a pointer to itself', changed((bytes) => bytes.writeUInt16BE(0xc00c, 12)), 1],
    ['a label too long', changed((bytes) => bytes.writeUInt8(0x7f, 12)), 1],
    ['records that are not there', changed((bytes) => bytes.writeUInt16BE(65_535, 10)), 1],
    [
      'a name of 300 bytes',
      Buffer.concat([good.subarray(0, 12), Buffer.alloc(300, '\u0001a'), Buffer.alloc(8)]),
      1,
    ],
  ];
  const found = cases.map(([what, bytes]) => {
    const read = readQuery(bytes);
    return [what, 'bytes' in read ? 'taken' : read.rcode];
  });
  assert.deepEqual(
    found,
    cases.map(([what, , rcode]) => [what, rcode]),
  );
});

test('a label with a dot or a strange byte in it is no host name', () => {
  const bytes = packet('a-b.example.com');
  bytes.write('.', 14, 'latin1');
  assert.equal(query(bytes).name, '');
});

test('addresses are read by another library, through an alias too', () => {
  const asked = query(packet('www.example.com.default.svc', 'A', EDNS));
  const direct = dnsPacket.decode(encodeAnswer(asked, { ...ANSWER, addresses: addresses(2) }, 512));
  assert.deepEqual(
    direct.answers?.map((one) => ('data' in one ? [one.name, one.type, one.data] : one)),
    ['10.0.0.0', '10.0.0.1'].map((address) => ['www.example.com.default.svc', 'A', address]),
  );
  assert.equal(direct.flag_aa && direct.flag_ra && direct.flag_rd && !direct.flag_tc, true);
  assert.equal(direct.additionals?.[0]?.type, 'OPT');
  const canonicalName = 'www.example.com.';
  const chained = dnsPacket.decode(
    encodeAnswer(asked, { ...ANSWER, canonicalName, addresses: addresses(1) }, 512),
  );
  assert.deepEqual(
    chained.answers?.map((one) => ('data' in one ? [one.name, one.type, one.data] : one)),
    [
      ['www.example.com.default.svc', 'CNAME', 'www.example.com'],
      ['www.example.com', 'A', '10.0.0.0'],
    ],
  );
});

test('an answer never exceeds what the client takes, and says when something is missing', () => {
  const asked = query(packet('a.example.com'));
  const message = encodeAnswer(asked, { ...ANSWER, addresses: addresses(100) }, 512);
  const read = dnsPacket.decode(message);
  assert.equal(message.length <= 512, true);
  assert.equal(read.flag_tc, true);
  assert.equal(read.answers?.length, 30);
  const whole = encodeAnswer(asked, { ...ANSWER, addresses: addresses(100) }, MAX_MESSAGE_BYTES);
  assert.equal(dnsPacket.decode(whole).answers?.length, 100);
});

test('failures carry the question, refusals only the header', () => {
  const failure = dnsPacket.decode(encodeFailure(query(packet('a')), RCODE_SERVER_FAILURE));
  assert.deepEqual([failure.id, failure.questions?.[0]?.name], [77, 'a']);
  const refusal = encodeRefusal(packet('a'), 1);
  assert.deepEqual(
    [refusal.length, refusal.readUInt16BE(0), refusal.readUInt16BE(2) & 0x800f],
    [12, 77, 0x8001],
  );
});

test('an answer counts only under its id, for its question', () => {
  const asked = query(packet('a.example.com'));
  const respond = (name: string, id: number, more: PacketParts = {}): Buffer =>
    dnsPacket.encode({ type: 'response', id, questions: [{ name, type: 'A' }], ...more });
  assert.equal(isAnswerTo(respond('A.Example.com', 5), asked, 5), true);
  assert.equal(isAnswerTo(respond('a.example.com', 6), asked, 5), false);
  assert.equal(isAnswerTo(respond('b.example.com', 5), asked, 5), false);
  assert.equal(isAnswerTo(withId(packet('a.example.com'), 5), asked, 5), false);
  assert.equal(isAnswerTo(Buffer.alloc(3), asked, 5), false);
});

test('an answer that is too long is passed on as truncated, without a record', () => {
  const asked = query(packet('a.example.com'));
  const answers = Array.from({ length: 60 }, (_, i) => ({
    type: 'A' as const,
    name: 'a.example.com',
    data: `10.0.0.${i}`,
  }));
  const long = dnsPacket.encode({
    type: 'response',
    id: 1,
    questions: [{ name: 'a.example.com', type: 'A' }],
    answers,
  });
  const cut = dnsPacket.decode(relayedAnswer(long, asked, 512));
  assert.deepEqual([cut.id, cut.flag_tc, cut.answers?.length], [77, true, 0]);
  assert.deepEqual(relayedAnswer(long, asked, MAX_MESSAGE_BYTES).subarray(2), long.subarray(2));
});

test('no bytes bring the reader down, and what it takes can be answered', () => {
  const mutated = fc
    .tuple(
      fc.constantFrom(packet('a.b.example.com'), packet('x', 'SRV', EDNS)),
      fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }),
      fc.nat(80),
    )
    .map(([good, changes, length]) => {
      const bytes = Buffer.from(good).subarray(0, Math.max(length, 4));
      for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
      return bytes;
    });
  const anything = fc.oneof(
    mutated,
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(anything, (bytes) => {
      const read = readQuery(bytes);
      if (!('bytes' in read)) return;
      const answer = encodeAnswer(read, { ...ANSWER, canonicalName: 'a.b.', addresses: addresses(3) }, 512);
      assert.equal(dnsPacket.decode(answer).answers?.length, 4);
    }),
    { numRuns: 2_000 },
  );
});
