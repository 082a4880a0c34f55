import { deepStrictEqual, rejects } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { tarOf } from './module-server.ts';
import { isModule, moduleOfLayer, unwrapModule } from './wasm-archive.ts';

const MODULE = Buffer.from([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
const LIMIT = 1 << 20;
const WRAPPED: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['as it is', MODULE],
  ['gzip', gzipSync(MODULE)],
  ['tar', tarOf('a.wasm', MODULE)],
  ['tar.gz', gzipSync(tarOf('a.wasm', MODULE))],
  ['gzip twice', gzipSync(gzipSync(MODULE))],
];
const LONG_NUMBER = tarOf('a.wasm', MODULE);
LONG_NUMBER.write('99999999999\0', 124);
const BROKEN: readonly (readonly [name: string, bytes: Buffer, says: RegExp])[] = [
  ['text', Buffer.from('hello'), /no WebAssembly module/],
  ['nothing', Buffer.alloc(0), /no WebAssembly module/],
  ['a bomb', gzipSync(Buffer.alloc(2 * LIMIT)), /more than 1048576 bytes/],
  ['cut gzip', gzipSync(MODULE).subarray(0, 15), /broken/],
  ['a tar that says more than it has', LONG_NUMBER, /no module in the archive/],
  [
    'gzip in gzip in gzip …',
    [0, 1, 2, 3, 4, 5].reduce((bytes) => gzipSync(bytes), MODULE),
    /no WebAssembly module/,
  ],
];

describe('a module in its wrapping', () => {
  for (const [name, bytes] of WRAPPED)
    it(`is found: ${name}`, async () => deepStrictEqual(await unwrapModule(bytes, LIMIT), MODULE));
  for (const [name, bytes, says] of BROKEN)
    it(`is not found: ${name}`, () => rejects(unwrapModule(bytes, LIMIT), says));

  it('is the file plugin.wasm of an image layer, in whatever folder', async () => {
    const other = tarOf('README', Buffer.from('text')).subarray(0, 1_024);
    const layer = gzipSync(Buffer.concat([other, tarOf('./deep/plugin.wasm', MODULE)]));
    deepStrictEqual(await moduleOfLayer(layer, LIMIT), MODULE);
  });

  it('is not found in a layer without it, or with too much around it', async () => {
    await rejects(moduleOfLayer(gzipSync(tarOf('other.wasm', MODULE)), LIMIT), /no module in the archive/);
    await rejects(moduleOfLayer(tarOf('plugin.wasm', MODULE), LIMIT), /not gzip/);
    await rejects(moduleOfLayer(gzipSync(Buffer.alloc(2 * LIMIT)), LIMIT), /more than/);
  });
});

it('a module is one that V8 takes', () => {
  deepStrictEqual([MODULE, Buffer.from('text'), Buffer.concat([MODULE, Buffer.from('?')])].map(isModule), [
    true,
    false,
    false,
  ]);
});
