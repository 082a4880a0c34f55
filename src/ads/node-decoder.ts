/**
 * Reads the encoded envoy.config.core.v3.Node that a client sends first. The metadata is a google.protobuf.Struct of any
 * shape, so it is read with limits on depth and number of values before anything is built from it.
 */
import { WireError, WireReader } from '#base/proto-wire.ts';
import type { Locality } from '#model/proxy.ts';

/** A JSON value as google.protobuf.Value holds it. Objects have no prototype: their keys are the client's. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** The parts of a Node that we use. */
export interface XdsNode {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: JsonObject;
  readonly locality: Locality;
  /** user_agent_name with the build version where the client says it, `envoy 1.40.0`. */
  readonly userAgent: string;
}

const MAX_NODE_BYTES = 1 << 20;
const MAX_DEPTH = 32;
const MAX_VALUES = 20_000;

/** Decodes a node. Errors: WireError, also for one beyond the limits. */
export function decodeNode(bytes: Uint8Array): XdsNode {
  if (bytes.length > MAX_NODE_BYTES)
    throw new WireError(`a node of ${bytes.length} bytes, at most ${MAX_NODE_BYTES}`);
  const budget = { values: MAX_VALUES };
  let id = '';
  let cluster = '';
  let metadata: JsonObject = Object.create(null);
  let locality: Locality = { region: '', zone: '', subzone: '' };
  let agent = '';
  let version = '';
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) id = reader.string();
    else if (reader.field === 2) cluster = reader.string();
    else if (reader.field === 3) metadata = readStruct(reader.bytes(), 0, budget);
    else if (reader.field === 4) locality = readLocality(reader.bytes());
    else if (reader.field === 6) agent = reader.string();
    else if (reader.field === 7) version = reader.string();
    else if (reader.field === 8) version = readBuildVersion(reader.bytes());
  }
  return { id, cluster, metadata, locality, userAgent: version === '' ? agent : `${agent} ${version}` };
}

function readLocality(bytes: Uint8Array): Locality {
  const reader = new WireReader(bytes);
  const parts = ['', '', '', ''];
  while (reader.next()) if (reader.field <= 3) parts[reader.field] = reader.string();
  return { region: parts[1] ?? '', zone: parts[2] ?? '', subzone: parts[3] ?? '' };
}

/** BuildVersion.version is a SemanticVersion of three numbers. */
function readBuildVersion(bytes: Uint8Array): string {
  const numbers = [0, 0, 0, 0];
  const build = new WireReader(bytes);
  while (build.next()) {
    if (build.field !== 1) continue;
    const reader = new WireReader(build.bytes());
    while (reader.next()) if (reader.field <= 3) numbers[reader.field] = reader.varint();
  }
  return numbers.slice(1).join('.');
}

interface Budget {
  values: number;
}

function spend(budget: Budget): void {
  if (--budget.values < 0) throw new WireError(`node metadata has more than ${MAX_VALUES} keys and values`);
}

function readStruct(bytes: Uint8Array, depth: number, budget: Budget): JsonObject {
  const object: Record<string, JsonValue> = Object.create(null);
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field !== 1) continue;
    spend(budget);
    const entry = new WireReader(reader.bytes());
    let key = '';
    let value: JsonValue = null;
    while (entry.next()) {
      if (entry.field === 1) key = entry.string();
      else if (entry.field === 2) value = readValue(entry.bytes(), depth, budget);
    }
    object[key] = value;
  }
  return object;
}

function readValue(bytes: Uint8Array, depth: number, budget: Budget): JsonValue {
  if (depth >= MAX_DEPTH) throw new WireError(`node metadata is nested deeper than ${MAX_DEPTH}`);
  spend(budget);
  const reader = new WireReader(bytes);
  let value: JsonValue = null;
  while (reader.next()) {
    if (reader.field === 1) value = null;
    else if (reader.field === 2) value = reader.double();
    else if (reader.field === 3) value = reader.string();
    else if (reader.field === 4) value = reader.bool();
    else if (reader.field === 5) value = readStruct(reader.bytes(), depth + 1, budget);
    else if (reader.field === 6) value = readList(reader.bytes(), depth + 1, budget);
  }
  return value;
}

function readList(bytes: Uint8Array, depth: number, budget: Budget): JsonValue {
  const list: JsonValue[] = [];
  const reader = new WireReader(bytes);
  while (reader.next()) if (reader.field === 1) list.push(readValue(reader.bytes(), depth, budget));
  return list;
}
