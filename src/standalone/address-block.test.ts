import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { claimAddressBlock } from './address-block.ts';

test('two meshes get different blocks', async () => {
  using first = await claimAddressBlock();
  using second = await claimAddressBlock();
  notStrictEqual(first.prefix, second.prefix);
});

test('a replica has three addresses of its own, reused after release', async () => {
  using block = await claimAddressBlock();
  const all = Array.from({ length: 300 }, () => block.allocate());
  strictEqual(new Set(all.flatMap((one) => [one.proxy, one.app, one.outbound])).size, 900);
  ok(all.every((one) => one.proxy.startsWith(`${block.prefix}.`)));
  const [first] = all;
  ok(first);
  block.release(first);
  deepStrictEqual(block.allocate(), first);
});
