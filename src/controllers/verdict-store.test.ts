import { deepStrictEqual, match, ok as assertOk, strictEqual } from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { HeldBack } from '#model/held-back.ts';
import { asStored, VerdictStore } from './verdict-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-verdicts-'));
after(() => rmSync(folder, { recursive: true }));

const head = {
  kind: 'VirtualService',
  namespace: 'n',
  refusedHash: 'h',
  envoyVersion: '1',
  reason: 'r',
  since: 's',
};
const form = {
  apiVersion: 'v1',
  kind: 'VirtualService',
  namespace: 'n',
  name: 'a',
  labels: JSON.parse('{"__proto__": "x"}'),
  annotations: {},
  createdAtMs: 1,
  spec: { hosts: ['a'] },
  hash: 'g',
};
const VERDICTS: readonly HeldBack[] = [
  asStored({ ...head, name: 'a', lastGood: form }),
  asStored({ ...head, name: 'b', lastGood: undefined }),
];

describe('the file of verdicts', () => {
  it('gives back what was saved last, for its owner only', async () => {
    const store = new VerdictStore(join(folder, 'state'));
    deepStrictEqual(await store.load(), { ok: true, value: [] });
    await Promise.all([store.save([]), store.save(VERDICTS)]);
    deepStrictEqual(await new VerdictStore(join(folder, 'state')).load(), { ok: true, value: VERDICTS });
    const modes = ['state', 'state/held-back.json'].map((path) => statSync(join(folder, path)).mode & 0o777);
    deepStrictEqual(modes, [0o700, 0o600]);
  });

  for (const [name, text] of [
    ['no JSON', '{'],
    ['another format', '{"format": 2, "heldBack": []}'],
    ['a verdict without a hash', '{"format": 1, "heldBack": [{"kind": "VirtualService"}]}'],
    ['null', 'null'],
  ] as const) {
    it(`is left out when it is broken: ${name}`, async () => {
      writeFileSync(join(folder, 'held-back.json'), text, { mode: 0o600 });
      const loaded = await new VerdictStore(folder).load();
      assertOk(!loaded.ok);
      match(loaded.error, /held-back\.json/);
    });
  }

  it('is left out when others may read it', async () => {
    writeFileSync(join(folder, 'held-back.json'), '{"format": 1, "heldBack": []}');
    chmodSync(join(folder, 'held-back.json'), 0o644);
    strictEqual((await new VerdictStore(folder).load()).ok, false);
  });
});
