import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { WatchedFile } from './watched-file.ts';

/** A followed file in a folder of its own; `next` resolves with the next text. */
function follow(name: string) {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-watched-'));
  let told = Promise.withResolvers<string | undefined>();
  const open = (): WatchedFile =>
    new WatchedFile(join(folder, name), systemClock(), (text) => {
      told.resolve(text);
      told = Promise.withResolvers();
    });
  return { folder, open, next: () => told.promise };
}

test('a file is read at once, and again when it is written, replaced, deleted or made', async (context) => {
  const { folder, open, next } = follow('mesh.yaml');
  const path = join(folder, 'mesh.yaml');
  writeFileSync(path, 'one');
  const file = open();
  context.after(() => {
    file[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  strictEqual(file.text, 'one');
  const told = async (change: () => void): Promise<string | undefined> => {
    const text = next();
    change();
    return text;
  };
  deepStrictEqual(
    [
      await told(() => writeFileSync(path, 'two')),
      await told(() => {
        writeFileSync(`${path}.new`, 'three');
        renameSync(`${path}.new`, path);
      }),
      await told(() => rmSync(path)),
      await told(() => writeFileSync(path, 'four')),
      file.text,
    ],
    ['two', 'three', undefined, 'four', 'four'],
  );
});

test('a file behind a link that is moved to another folder, as a mounted ConfigMap is', async (context) => {
  const { folder, open, next } = follow('mesh');
  for (const name of ['a', 'b']) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'mesh'), name);
  }
  symlinkSync('a', join(folder, '..data'));
  symlinkSync('..data/mesh', join(folder, 'mesh'));
  const file = open();
  context.after(() => {
    file[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  strictEqual(file.text, 'a');
  const text = next();
  symlinkSync('b', join(folder, '..new'));
  renameSync(join(folder, '..new'), join(folder, '..data'));
  strictEqual(await text, 'b');
});

test('no file is no text', () => {
  const { folder, open } = follow('none');
  using file = open();
  strictEqual(file.text, undefined);
  rmSync(folder, { recursive: true });
});
