/**
 * What every reader of bytes from outside must stand: valid input with bytes changed, cut, doubled and mixed with other input, and
 * bytes of no sense at all. It answers or refuses in its own way, in bounded time, and keeps nothing.
 */
import { ok } from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';

const IS_LONG = process.env['LATEEN_LONG'] === '1';
/** Seconds per reader for everybody, a minute in the long form. */
const PARAMETERS = IS_LONG
  ? { numRuns: 100_000_000, interruptAfterTimeLimit: 60_000 }
  : { numRuns: 200, interruptAfterTimeLimit: 1_000 };
/** For one input; the machine may be busy with other things. */
const CALL_LIMIT_MS = 1_000;
const KEPT_LIMIT_BYTES = 128 << 20;
const MOST_CHANGES = 6;
const MOST_REPEATS = 2_000;
const LARGEST_INPUT_BYTES = 1 << 20;
/** Numbers that lengths and counts are made of where somebody wants to break something. */
const EVIL = ['00', 'ff', '7f', '80', 'ffff', '80808080', 'ffffffff0f', 'ffffffffffffffffff01', '8000000000'];

/** A reader of bytes. */
export interface HostileTarget {
  readonly name: string;
  /** Valid inputs. */
  readonly seeds: readonly Uint8Array[];
  /** Reads; may throw what is in `refusals`, and nothing else. */
  readonly read: (bytes: Buffer) => unknown;
  readonly refusals?: readonly (abstract new (...args: never[]) => Error)[];
}

type Change = (bytes: Buffer) => Buffer;

/** A place in a buffer of whatever length. */
const place = fc.double({ min: 0, max: 1, noNaN: true });
const at = (bytes: Buffer, part: number): number => Math.floor(part * bytes.length);

function changesOf(seeds: readonly Uint8Array[]): fc.Arbitrary<Change> {
  const insert =
    (part: number, more: Uint8Array): Change =>
    (bytes) =>
      Buffer.concat([bytes.subarray(0, at(bytes, part)), more, bytes.subarray(at(bytes, part))]);
  return fc.oneof(
    fc.tuple(place, fc.nat(255)).map(
      ([part, byte]): Change =>
        (bytes) => {
          const changed = Buffer.from(bytes);
          if (changed.length > 0) changed[Math.min(at(bytes, part), changed.length - 1)] = byte;
          return changed;
        },
    ),
    fc.tuple(place, fc.uint8Array({ maxLength: 40 })).map(([part, more]) => insert(part, more)),
    fc.tuple(place, fc.constantFrom(...EVIL)).map(([part, hex]) => insert(part, Buffer.from(hex, 'hex'))),
    fc.tuple(place, fc.constantFrom(...EVIL)).map(
      ([part, hex]): Change =>
        (bytes) => {
          const changed = Buffer.from(bytes);
          Buffer.from(hex, 'hex').copy(changed, at(bytes, part));
          return changed;
        },
    ),
    fc.tuple(place, place).map(
      ([from, to]): Change =>
        (bytes) =>
          Buffer.concat([bytes.subarray(0, at(bytes, from)), bytes.subarray(at(bytes, to))]),
    ),
    fc.tuple(place, fc.nat(MOST_REPEATS)).map(
      ([part, times]): Change =>
        (bytes) => {
          const piece = bytes.subarray(at(bytes, part), at(bytes, part) + 16);
          return insert(part, Buffer.concat(Array<Buffer>(times).fill(piece)))(bytes);
        },
    ),
    fc.tuple(place, fc.constantFrom(...seeds)).map(([part, other]) => insert(part, other)),
  );
}

function inputs(seeds: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const changed = fc
    .tuple(fc.constantFrom(...seeds), fc.array(changesOf(seeds), { minLength: 1, maxLength: MOST_CHANGES }))
    .map(([seed, changes]) => changes.reduce<Buffer>((bytes, change) => change(bytes), Buffer.from(seed)));
  const senseless = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
  return fc
    .oneof({ weight: 8, arbitrary: changed }, { weight: 1, arbitrary: senseless })
    .map((bytes) => bytes.subarray(0, LARGEST_INPUT_BYTES));
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What is in use, without what only waits to be collected. */
function heldBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Declares the test of one reader. */
export function testHostileBytes(target: HostileTarget): void {
  const { name, seeds, read, refusals = [] } = target;
  test(`hostile bytes: ${name}`, async () => {
    // Seeds that are refused would make a test of nothing.
    for (const seed of seeds) await read(Buffer.from(seed));
    const keptBytes = heldBytes();
    const property = fc.asyncProperty(inputs(seeds), async (bytes) => {
      const startedMs = performance.now();
      try {
        await read(bytes);
      } catch (error) {
        if (!refusals.some((refusal) => error instanceof refusal)) throw error;
      }
      const tookMs = performance.now() - startedMs;
      ok(tookMs < CALL_LIMIT_MS, `${bytes.length} bytes took ${tookMs} ms`);
    });
    await fc.assert(property, PARAMETERS);
    const kept = heldBytes() - keptBytes;
    ok(kept < KEPT_LIMIT_BYTES, `${kept} bytes are kept`);
  });
}
