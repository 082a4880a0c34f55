import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { claimAddressBlock } from './address-block.ts';

function inTemporaryFolder(run: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-addresses-'));
  try {
    run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('two meshes get different blocks, and a block given back is free again', () => {
  inTemporaryFolder((folder) => {
    const first = claimAddressBlock(folder);
    const second = claimAddressBlock(folder);
    notStrictEqual(first.prefix, second.prefix);
    first[Symbol.dispose]();
    strictEqual(claimAddressBlock(folder).prefix, first.prefix);
  });
});

test('the claim of a process that is gone is taken over', () => {
  inTemporaryFolder((folder) => {
    writeFileSync(join(folder, '127.64'), '999999999');
    strictEqual(claimAddressBlock(folder).prefix, '127.64');
    deepStrictEqual(readdirSync(folder), ['127.64']);
  });
});

test('a replica has three addresses of its own, reused after release', () => {
  inTemporaryFolder((folder) => {
    const block = claimAddressBlock(folder);
    const all = Array.from({ length: 300 }, () => block.allocate());
    strictEqual(new Set(all.flatMap((one) => [one.proxy, one.app, one.outbound])).size, 900);
    ok(all.every((one) => one.proxy.startsWith(`${block.prefix}.`)));
    const [first] = all;
    ok(first);
    block.release(first);
    deepStrictEqual(block.allocate(), first);
  });
});
