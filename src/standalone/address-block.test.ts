import { notDeepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { claimAddressBlock } from './address-block.ts';

test('two meshes get different blocks', async () => {
  using first = await claimAddressBlock();
  using second = await claimAddressBlock();
  notStrictEqual(first.prefix, second.prefix);
});

test('a replica has three addresses of its own', async () => {
  using block = await claimAddressBlock();
  const all = Array.from({ length: 300 }, () => block.allocate());
  strictEqual(new Set(all.flatMap((one) => [one.proxy, one.app, one.outbound])).size, 900);
  ok(all.every((one) => one.proxy.startsWith(`${block.prefix}.`)));
});

test('addresses given back rest for a while, and serve again before the block is used up', async () => {
  using block = await claimAddressBlock();
  const first = block.allocate();
  block.release(first);
  notDeepStrictEqual(block.allocate(), first);
  const seen = new Set<string>();
  for (let i = 0; i < 40_000; i++) {
    const one = block.allocate();
    seen.add(one.proxy);
    block.release(one);
  }
  ok(seen.has(first.proxy));
});
