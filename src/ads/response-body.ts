/**
 * Resources as they stand in a response, encoded once per difference between two snapshots and shared by all streams that
 * are sent it. Large resources are referenced, small ones copied together; the memory for the copies is bounded.
 */
import { varintSize, WireWriter } from '#base/proto-wire.ts';
import type { Resource, ResourceEntry } from '#xds/resource.ts';
import type { ResourceType } from './resource-type.ts';
import type { ResourceDiff, ResourceMap } from './snapshot-diff.ts';
import type { VersionOf } from './subscription.ts';

type Named = readonly [string, ResourceEntry];

/** Encoded resource fields of a response, in chunks. */
export interface Body {
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** The part of it that is copies. */
  readonly copiedBytes: number;
}

/** Resources at least this long are written from where they lie instead of being copied. */
const REFERENCE_FROM_BYTES = 4_096;
/** What one resource takes beyond its name, version, type URL and bytes: tags and lengths. */
const OVERHEAD_BYTES = 40;

/** Field numbers of envoy.service.discovery.v3: both responses hold resources in field 2. */
const RESOURCES = 2;
const RESOURCE_NAME = 3;
const RESOURCE_VERSION = 1;
const RESOURCE_ANY = 2;
const ANY_TYPE_URL = 1;
const ANY_VALUE = 2;

/** Encodes `DeltaDiscoveryResponse.resources`. */
export function encodeDelta(type: ResourceType, entries: readonly Named[], versionOf: VersionOf): Body {
  const texts = entries.reduce((sum, [name]) => sum + name.length * 3 + 64, 0);
  const writer = new BodyWriter(type, entries, texts);
  for (const [name, entry] of entries) {
    const version = versionOf(name, entry);
    const any = writer.anySize(entry.resource);
    const nameBytes = Buffer.byteLength(name);
    const versionBytes = Buffer.byteLength(version);
    const size = fieldSize(nameBytes) + fieldSize(versionBytes) + fieldSize(any);
    writer.out.openBytes(RESOURCES, size).string(RESOURCE_NAME, name).string(RESOURCE_VERSION, version);
    writer.out.openBytes(RESOURCE_ANY, any);
    writer.any(entry.resource);
  }
  return writer.finish();
}

/** Encodes `DiscoveryResponse.resources`. */
export function encodeSotw(type: ResourceType, entries: readonly Named[]): Body {
  const writer = new BodyWriter(type, entries, 0);
  for (const [, { resource }] of entries) {
    writer.out.openBytes(RESOURCES, writer.anySize(resource));
    writer.any(resource);
  }
  return writer.finish();
}

/** Size of a length-delimited field with a one-byte tag. */
function fieldSize(length: number): number {
  return 1 + varintSize(length) + length;
}

class BodyWriter {
  readonly out: WireWriter;
  readonly #chunks: Uint8Array[] = [];
  readonly #typeUrl: string;
  readonly #typeUrlBytes: number;
  /** Bytes of `out` that are in `#chunks` already. */
  #flushed = 0;
  #sizeBytes = 0;

  constructor(type: ResourceType, entries: readonly Named[], textBytes: number) {
    this.#typeUrl = type.url;
    this.#typeUrlBytes = Buffer.byteLength(type.url);
    const copied = entries.reduce((sum, [, { resource }]) => sum + copiedBytes(resource), 0);
    const perEntry = OVERHEAD_BYTES + this.#typeUrlBytes;
    this.out = new WireWriter(copied + entries.length * perEntry + textBytes);
  }

  anySize(resource: Resource): number {
    return fieldSize(this.#typeUrlBytes) + fieldSize(resource.bytes.length);
  }

  any(resource: Resource): void {
    this.out.string(ANY_TYPE_URL, this.#typeUrl).openBytes(ANY_VALUE, resource.bytes.length);
    if (copiedBytes(resource) > 0 || resource.bytes.length === 0) {
      this.out.raw(resource.bytes);
      return;
    }
    this.#flush();
    this.#take(resource.bytes);
  }

  finish(): Body {
    this.#flush();
    return { chunks: this.#chunks, sizeBytes: this.#sizeBytes, copiedBytes: this.out.length };
  }

  #flush(): void {
    const written = this.out.finish().subarray(this.#flushed);
    this.#flushed += written.length;
    if (written.length > 0) this.#take(written);
  }

  #take(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#sizeBytes += chunk.length;
  }
}

function copiedBytes(resource: Resource): number {
  return resource.bytes.length < REFERENCE_FROM_BYTES ? resource.bytes.length : 0;
}

interface Slot {
  body: Body | undefined;
}

/** Bodies by the diff that they encode. Past `maxBytes` of copies the oldest are dropped and encoded again when needed. */
export class BodyCache {
  readonly #maxBytes: number;
  readonly #slots: WeakMap<ResourceDiff, WeakMap<object, Slot>> = new WeakMap();
  #oldestFirst: Slot[] = [];
  #heldBytes = 0;
  #encodedCount = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Bodies encoded since start: tests and benchmarks assert on it. */
  get encodedCount(): number {
    return this.#encodedCount;
  }

  /** The body for a diff; `clusters` is what versions depend on beside it, if they do. */
  get(diff: ResourceDiff, clusters: ResourceMap | undefined, encode: () => Body): Body {
    const slot = this.#slot(diff, clusters ?? diff);
    if (slot.body === undefined) {
      slot.body = encode();
      this.#encodedCount++;
      this.#oldestFirst.push(slot);
      this.#heldBytes += slot.body.copiedBytes;
      this.#evict(slot);
    }
    return slot.body;
  }

  #slot(diff: ResourceDiff, key: object): Slot {
    const byKey = this.#slots.get(diff) ?? new WeakMap<object, Slot>();
    this.#slots.set(diff, byKey);
    const slot = byKey.get(key) ?? { body: undefined };
    byKey.set(key, slot);
    return slot;
  }

  #evict(newest: Slot): void {
    let dropped = 0;
    for (const slot of this.#oldestFirst) {
      if (this.#heldBytes <= this.#maxBytes || slot === newest) break;
      this.#heldBytes -= slot.body?.copiedBytes ?? 0;
      slot.body = undefined;
      dropped++;
    }
    if (dropped > 0) this.#oldestFirst = this.#oldestFirst.slice(dropped);
  }
}
