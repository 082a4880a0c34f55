import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LOOPBACK_ALLOWED, NO_EXCEPTIONS, refusalOf } from './address-guard.ts';
import { parseCidr } from './cidr.ts';

describe('addresses that a user may send us to (T14)', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ['8.8.8.8', true],
    ['10.0.0.1', true],
    ['fd12::1', true],
    ['169.254.169.254', false],
    ['::ffff:169.254.169.254', false],
    ['64:ff9b::a9fe:a9fe', false],
    ['fe80::1', false],
    ['127.0.0.1', false],
    ['127.8.0.1', false],
    ['::1', false],
    ['::ffff:127.0.0.1', false],
    ['0.0.0.0', false],
    ['::', false],
    ['100.100.100.200', false],
    ['fd00:ec2::254', false],
    ['224.0.0.1', false],
    ['localhost', false],
    ['0x7f.1', false],
    ['', false],
  ];
  for (const [address, isAllowed] of cases) {
    it(`${address} is ${isAllowed ? 'let through' : 'refused'}`, () =>
      assert.equal(refusalOf(address, NO_EXCEPTIONS) === '', isAllowed));
  }

  it('exceptions open and ranges close', () => {
    const block = parseCidr('10.0.0.0/8');
    assert.equal(refusalOf('127.0.0.1', LOOPBACK_ALLOWED), '');
    assert.equal(refusalOf('::ffff:127.0.0.1', LOOPBACK_ALLOWED), '');
    assert.match(refusalOf('169.254.169.254', LOOPBACK_ALLOWED), /link-local/);
    assert.ok(block.ok);
    assert.match(refusalOf('10.1.2.3', { allowed: [], blocked: [block.value] }), /blocked range/);
  });
});
