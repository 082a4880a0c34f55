// Tests of the zip reader: it takes what wheels hold, and refuses what is damaged or larger than promised.
import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, it } from 'node:test';
import { ArchiveError, extractMember } from './wheel-archive.ts';
import { createScratchDir, sha256, zipArchive } from './wheel-fixture.ts';

const content = Buffer.from('content '.repeat(1000));
const expected = { sizeBytes: content.length, sha256: sha256(content) };

let scratch: Awaited<ReturnType<typeof createScratchDir>>;

beforeEach(async () => {
  scratch = await createScratchDir();
});

afterEach(() => scratch.remove());

async function extract(archive: Buffer, name = 'b/file', wanted = expected): Promise<string> {
  const path = join(scratch.path, 'archive.zip');
  const target = join(scratch.path, 'target');
  await writeFile(path, archive);
  await extractMember(path, name, target, wanted);
  return target;
}

for (const stored of [false, true]) {
  it(`extracts a ${stored ? 'stored' : 'deflated'} member as an executable file`, async () => {
    const first = { name: 'a', content: Buffer.from('another file') };
    const target = await extract(zipArchive([first, { name: 'b/file', content, stored }]));
    assert.deepStrictEqual(await readFile(target), content);
    assert.equal((await stat(target)).mode & 0o777, 0o755);
  });
}

const whole = zipArchive([{ name: 'b/file', content }]);
const damaged = Buffer.from(whole);
damaged.fill(0xff, 40, 50);
const failures: readonly { readonly name: string; readonly archive: Buffer; readonly message: RegExp }[] = [
  { name: 'no archive at all', archive: Buffer.from('hello'), message: /not a zip archive/ },
  { name: 'an empty file', archive: Buffer.alloc(0), message: /not a zip archive/ },
  {
    name: 'an archive cut short',
    archive: whole.subarray(20),
    message: /no local header|cut short|no member/,
  },
  {
    name: 'an archive without the member',
    archive: zipArchive([{ name: 'x', content }]),
    message: /no member b\/file/,
  },
  { name: 'data that does not inflate', archive: damaged, message: /cannot be unpacked|expected/ },
  {
    name: 'a member that is larger than promised',
    archive: zipArchive([{ name: 'b/file', content: Buffer.alloc(1_000_000) }]),
    message: /larger than 8000 bytes/,
  },
  {
    name: 'a member with other content',
    archive: zipArchive([{ name: 'b/file', content: Buffer.from('CONTENT '.repeat(1000)) }]),
    message: /expected/,
  },
];
for (const { name, archive, message } of failures) {
  it(`refuses ${name}`, async () => {
    await assert.rejects(extract(archive), (error) => {
      assert.ok(error instanceof ArchiveError, String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}
