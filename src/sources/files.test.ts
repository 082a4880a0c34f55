/** What is particular to files: editors' ways of saving, links, limits, rescans, positions. */
import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { FilesSource } from './files.ts';
import { isObjectFile } from './folder-watch.ts';
import type { ObjectSink, SourceBatch } from './object-sink.ts';

const LIMIT_MS = 5000;
const NO_RESCAN_MS = 600_000;

/** Counts batches and keeps ports of services by name. */
class PortSink implements ObjectSink {
  readonly ports = new Map<string, number>();
  batches: SourceBatch[] = [];
  #wake: () => void = () => {};

  apply(batch: SourceBatch): void {
    for (const { name } of batch.remove) this.ports.delete(name);
    for (const { name, spec } of batch.set) {
      this.ports.set(name, (spec as { ports: { port: number }[] }).ports[0]?.port ?? 0);
    }
    this.batches.push(batch);
    this.#wake();
  }

  get codes(): readonly string[] {
    return (this.batches.at(-1)?.diagnostics ?? []).map((diagnostic) => diagnostic.code);
  }

  async until(condition: () => boolean): Promise<void> {
    const endMs = performance.now() + LIMIT_MS;
    while (!condition() && performance.now() < endMs) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, endMs - performance.now());
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    ok(condition(), `not seen within ${LIMIT_MS} ms: ${JSON.stringify([...this.ports])} ${this.codes}`);
  }
}

function service(name: string, port: number): string {
  return `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: ${port}}]}\n`;
}

let folder = '';
let sink = new PortSink();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lateen-files-'));
  sink = new PortSink();
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function startSource(rescanMs = NO_RESCAN_MS): Promise<FilesSource> {
  const source = new FilesSource({
    folder,
    sink,
    clock: systemClock(),
    defaultNamespace: 'default',
    rescanMs,
  });
  await source.start();
  return source;
}

test('a save by temporary file and rename is taken up', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  using _source = await startSource();
  writeFileSync(join(folder, '.a.yaml.swp'), service('a', 2));
  renameSync(join(folder, '.a.yaml.swp'), join(folder, 'a.yaml'));
  await sink.until(() => sink.ports.get('a') === 2);
});

test('a save by truncating and writing never takes the object away', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  using _source = await startSource();
  truncateSync(join(folder, 'a.yaml'), 0);
  await sink.until(() => sink.codes.includes('LTN1205'));
  strictEqual(sink.ports.get('a'), 1);
  writeFileSync(join(folder, 'a.yaml'), service('a', 2));
  await sink.until(() => sink.ports.get('a') === 2 && sink.codes.length === 0);
});

test('a save by moving the old file away is one change', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  using _source = await startSource();
  renameSync(join(folder, 'a.yaml'), join(folder, 'a.yaml~'));
  writeFileSync(join(folder, 'a.yaml'), service('a', 2));
  await sink.until(() => sink.ports.get('a') === 2);
  deepStrictEqual(
    sink.batches.flatMap((batch) => batch.remove),
    [],
  );
});

test('a file written again with the same content delivers nothing', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  using _source = await startSource();
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  writeFileSync(join(folder, 'b.yaml'), service('b', 1));
  await sink.until(() => sink.ports.has('b'));
  deepStrictEqual(
    sink.batches.map((batch) => batch.set.map((object) => object.name)),
    [['a'], ['b']],
  );
});

test('the start delivers one batch', async () => {
  for (let i = 0; i < 300; i++) writeFileSync(join(folder, `f${i}.yaml`), service(`s${i}`, 1));
  using _source = await startSource();
  deepStrictEqual([sink.batches.length, sink.ports.size], [1, 300]);
});

test('a rescan finds what no event told', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  mkdirSync(join(folder, 'sub'));
  const outside = mkdtempSync(join(tmpdir(), 'lateen-files-'));
  writeFileSync(join(outside, 'real.yaml'), service('b', 1));
  symlinkSync(join(outside, 'real.yaml'), join(folder, 'b.yaml'));
  using _source = await startSource(50);
  // The folder of the link's target is not watched.
  writeFileSync(join(outside, 'real.yaml'), service('b', 2));
  utimesSync(join(outside, 'real.yaml'), 1000, 1000);
  await sink.until(() => sink.ports.get('b') === 2);
  rmSync(outside, { recursive: true });
  await sink.until(() => !sink.ports.has('b'));
});

test('a folder that goes and comes back is followed again', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  using _source = await startSource(50);
  rmSync(folder, { recursive: true });
  await sink.until(() => sink.ports.size === 0);
  mkdirSync(folder);
  writeFileSync(join(folder, 'a.yaml'), service('a', 2));
  await sink.until(() => sink.ports.get('a') === 2);
  writeFileSync(join(folder, 'a.yaml'), service('a', 3));
  await sink.until(() => sink.ports.get('a') === 3);
});

test('folders made and filled at once are found without a rescan', async () => {
  using _source = await startSource();
  for (let i = 0; i < 50; i++) {
    const deep = join(folder, `n${i}`, 'x', 'y');
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, 'f.yaml'), service(`s${i}`, 1));
  }
  await sink.until(() => sink.ports.size === 50);
});

test('a link to a folder above is reported and not followed', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  mkdirSync(join(folder, 'sub'));
  symlinkSync(folder, join(folder, 'sub', 'loop'));
  using _source = await startSource();
  deepStrictEqual([sink.codes, sink.ports.size], [['LTN1209'], 1]);
});

test('a file that is too large is reported and keeps its objects', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  using _source = await startSource();
  writeFileSync(join(folder, 'a.yaml'), '#'.repeat(9 * 1024 * 1024));
  await sink.until(() => sink.codes.includes('LTN1202'));
  strictEqual(sink.ports.get('a'), 1);
});

test('a file that may not be read is reported', { skip: process.getuid?.() === 0 }, async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  chmodSync(join(folder, 'a.yaml'), 0);
  using _source = await startSource();
  deepStrictEqual(sink.codes, ['LTN1204']);
});

test('a dangling link is no file', async () => {
  symlinkSync(join(folder, 'nowhere.yaml'), join(folder, 'a.yaml'));
  using _source = await startSource();
  deepStrictEqual([sink.codes, sink.ports.size], [[], 0]);
});

test('origins and positions lead to the field in the file', async () => {
  const file = join(folder, 'a.yaml');
  writeFileSync(file, `# comment\n${service('a', 1)}---\n${service('b', 2)}`);
  using source = await startSource();
  const ref = { kind: 'Service', namespace: 'default', name: 'b' };
  deepStrictEqual(
    [
      source.originOf(ref),
      source.positionOf(ref, 'spec.ports[0].port'),
      source.originOf({ ...ref, name: 'c' }),
    ],
    [{ file, documentIndex: 1, pathPrefix: '' }, { file, line: 10, column: 23 }, undefined],
  );
});

test('starting on a folder that is not there is an error', async () => {
  folder = join(folder, 'missing');
  await rejects(startSource(), /is not a folder/);
});

test('only files that hold objects are read', () => {
  const names = [
    'a.yaml',
    'A.YML',
    'a.json',
    '.a.yaml',
    '#a.yaml#',
    '.#a.yaml',
    'a.yaml~',
    'a.yaml.tmp',
    '4913',
    'a.txt',
  ];
  deepStrictEqual(names.filter(isObjectFile), ['a.yaml', 'A.YML', 'a.json']);
});

test('deleting a file takes its objects away', async () => {
  writeFileSync(join(folder, 'a.yaml'), service('a', 1));
  using _source = await startSource();
  unlinkSync(join(folder, 'a.yaml'));
  await sink.until(() => sink.ports.size === 0);
});
