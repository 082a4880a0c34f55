/** Addresses and blocks: tables, and round trips against Node's own reader. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { BlockList, isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  cidrContains,
  cidrCovers,
  formatCidr,
  isIp,
  isIpv4,
  isIpv6,
  normaliseIp,
  parseCidr,
  parseIp,
} from './cidr.ts';

const NORMAL: readonly (readonly [string, string | undefined])[] = [
  ['10.0.0.1', '10.0.0.1'],
  ['255.255.255.255', '255.255.255.255'],
  ['01.2.3.4', undefined],
  ['1.2.3', undefined],
  ['1.2.3.256', undefined],
  ['1.2.3.4 ', undefined],
  ['0x7f.0.0.1', undefined],
  ['', undefined],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
  ['::ffff:102:304', '::ffff:1.2.3.4'],
  ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ['1:2:3:4:5:6:7:8:9', undefined],
  ['1:2:3:4:5:6:7', undefined],
  ['1::2::3', undefined],
  [':::', undefined],
  [':1:2:3:4:5:6:7', undefined],
  ['1:2:3:4:5:6:7:8::', undefined],
  ['1.2.3.4::', undefined],
  ['::1.2.3.4:5', undefined],
  ['12345::', undefined],
  ['fe80::1%eth0', undefined],
  ['g::', undefined],
];

for (const [text, expected] of NORMAL) {
  test(`address "${text}" is ${expected ?? 'none'}`, () => strictEqual(normaliseIp(text), expected));
}

test('addresses are told from other texts as Node tells them, and normal forms stay', () => {
  const group = fc.constantFrom('0', '1', 'ab', 'ffff', '', '00', '1.2.3.4', '12345');
  const text = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.array(group, { maxLength: 9 }).map((groups) => groups.join(':')),
  );
  fc.assert(
    fc.property(text, (candidate) => {
      const family = isIP(candidate);
      deepStrictEqual(
        [isIp(candidate), isIpv4(candidate), isIpv6(candidate)],
        [family !== 0, family === 4, family === 6],
      );
      const normal = normaliseIp(candidate);
      if (normal === undefined) return;
      strictEqual(normaliseIp(normal), normal);
      deepStrictEqual(parseIp(normal), parseIp(candidate));
    }),
    { numRuns: 1000 },
  );
});

const BLOCKS: readonly (readonly [string, string | undefined])[] = [
  ['10.1.2.3/8', '10.0.0.0/8'],
  ['10.1.2.3/0', '0.0.0.0/0'],
  ['10.1.2.3/31', '10.1.2.2/31'],
  ['10.1.2.3', '10.1.2.3/32'],
  ['2001:db8:ffff::/33', '2001:db8:8000::/33'],
  ['::1', '::1/128'],
  ['10.0.0.0/33', undefined],
  ['10.0.0.0/', undefined],
  ['10.0.0.0/08', undefined],
  ['10.0.0.0/-1', undefined],
  ['10.0.0.0/8/8', undefined],
  ['::/129', undefined],
  ['foo/8', undefined],
];

for (const [text, expected] of BLOCKS) {
  test(`block "${text}" is ${expected ?? 'none'}`, () => {
    const parsed = parseCidr(text);
    strictEqual(parsed.ok ? formatCidr(parsed.value) : undefined, expected);
  });
}

function requireCidr(text: string) {
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

test('a block contains what Node says it contains', () => {
  const near = fc.nat(0xffff).map((n) => `10.0.${n >> 8}.${n & 255}`);
  fc.assert(
    fc.property(near, fc.nat(32), near, (network, bits, address) => {
      const blocks = new BlockList();
      blocks.addSubnet(network, bits, 'ipv4');
      strictEqual(
        cidrContains(requireCidr(`${network}/${bits}`), parseIp(address) as Uint8Array),
        blocks.check(address),
      );
    }),
    { numRuns: 300 },
  );
});

test('families do not contain each other, and blocks cover blocks', () => {
  const any6 = requireCidr('::/0');
  strictEqual(cidrContains(any6, parseIp('10.0.0.1') as Uint8Array), false);
  deepStrictEqual(
    [
      ['10.0.0.0/8', '10.1.0.0/16'],
      ['10.1.0.0/16', '10.0.0.0/8'],
      ['10.0.0.0/8', '11.0.0.0/8'],
      ['::/0', '10.0.0.0/8'],
    ].map(([outer = '', inner = '']) => cidrCovers(requireCidr(outer), requireCidr(inner))),
    [true, false, false, false],
  );
});
