/**
 * Discovery requests and responses by hand (envoy.service.discovery.v3): an ACK costs a few microseconds instead of a
 * message object, and a response is a small head in front of bytes that all streams share. Requests are hostile
 * input: names are counted and measured while reading.
 */
import { isAscii } from 'node:buffer';
import { decodeUtf8, WireError, WireReader, WireWriter } from '#base/proto-wire.ts';

/** What a client said of a response that it refused (google.rpc.Status). */
export interface ErrorDetail {
  readonly code: number;
  readonly message: string;
}

/** DeltaDiscoveryRequest. */
export interface DeltaRequest {
  /** The encoded node; only the first request of a stream has one. */
  readonly node: Uint8Array | undefined;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly initialVersions: ReadonlyMap<string, string>;
  readonly nonce: string;
  readonly error: ErrorDetail | undefined;
}

/** DiscoveryRequest. */
export interface SotwRequest {
  readonly node: Uint8Array | undefined;
  readonly typeUrl: string;
  readonly names: readonly string[];
  readonly version: string;
  readonly nonce: string;
  readonly error: ErrorDetail | undefined;
}

/** Most names in one request, and the longest of them: what the largest meshes need, many times over. */
const MAX_NAMES = 100_000;
const MAX_NAME_BYTES = 4_096;
/** An error text is kept, logged and shown; clients join one line per resource. */
const MAX_ERROR_CHARACTERS = 16_384;

/** Decodes a DeltaDiscoveryRequest. Errors: WireError. */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  const initialVersions = new Map<string, string>();
  let node: Uint8Array | undefined;
  let error: ErrorDetail | undefined;
  let typeUrl = '';
  let nonce = '';
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) node = reader.bytes();
    else if (reader.field === 2) typeUrl = readName(reader);
    else if (reader.field === 3) subscribe.push(readName(reader));
    else if (reader.field === 4) unsubscribe.push(readName(reader));
    else if (reader.field === 5) readVersion(reader.bytes(), initialVersions);
    else if (reader.field === 6) nonce = readName(reader);
    else if (reader.field === 7) error = readError(reader.bytes());
    checkCount(subscribe.length + unsubscribe.length + initialVersions.size);
  }
  return { node, typeUrl, subscribe, unsubscribe, initialVersions, nonce, error };
}

/** Decodes a DiscoveryRequest. Errors: WireError. */
export function decodeSotwRequest(bytes: Uint8Array): SotwRequest {
  const names: string[] = [];
  let node: Uint8Array | undefined;
  let error: ErrorDetail | undefined;
  let version = '';
  let typeUrl = '';
  let nonce = '';
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) version = readName(reader);
    else if (reader.field === 2) node = reader.bytes();
    else if (reader.field === 3) names.push(readName(reader));
    else if (reader.field === 4) typeUrl = readName(reader);
    else if (reader.field === 5) nonce = readName(reader);
    else if (reader.field === 6) error = readError(reader.bytes());
    checkCount(names.length);
  }
  return { node, typeUrl, names, version, nonce, error };
}

/** What is different in each response; `controlPlane` is ControlPlane.identifier. */
export interface ResponseHead {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly controlPlane: string;
}

/** All of a DeltaDiscoveryResponse but its resources (field 2), whose bytes may simply follow. */
export function encodeDeltaHead(head: ResponseHead, removed: readonly string[]): Uint8Array {
  const writer = new WireWriter(256).string(1, head.version).string(4, head.typeUrl).string(5, head.nonce);
  for (const name of removed) writer.string(6, name);
  return writer.bytes(7, encodeControlPlane(head.controlPlane)).finish();
}

/** All of a DiscoveryResponse but its resources (field 2), whose bytes may simply follow. */
export function encodeSotwHead(head: ResponseHead): Uint8Array {
  const writer = new WireWriter(256).string(1, head.version).string(4, head.typeUrl).string(5, head.nonce);
  return writer.bytes(6, encodeControlPlane(head.controlPlane)).finish();
}

function encodeControlPlane(identifier: string): Uint8Array {
  return new WireWriter(64).string(1, identifier).finish();
}

function readName(reader: WireReader): string {
  const bytes = reader.bytes();
  if (bytes.length > MAX_NAME_BYTES)
    throw new WireError(`a name has ${bytes.length} bytes, at most ${MAX_NAME_BYTES}`);
  return decodeName(bytes);
}

/** Names are nearly always ASCII, for which latin1 is the quickest way; anything else is decoded strictly. */
function decodeName(bytes: Uint8Array): string {
  if (!isAscii(bytes)) return decodeUtf8(bytes);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function checkCount(count: number): void {
  if (count > MAX_NAMES) throw new WireError(`more than ${MAX_NAMES} names in one request`);
}

/** An entry of map<string, string>. */
function readVersion(bytes: Uint8Array, into: Map<string, string>): void {
  const reader = new WireReader(bytes);
  let name = '';
  let version = '';
  while (reader.next()) {
    if (reader.field === 1) name = readName(reader);
    else if (reader.field === 2) version = readName(reader);
  }
  into.set(name, version);
}

function readError(bytes: Uint8Array): ErrorDetail {
  const reader = new WireReader(bytes);
  let code = 0;
  let message = '';
  while (reader.next()) {
    if (reader.field === 1) code = reader.int32();
    else if (reader.field === 2) message = Buffer.from(reader.bytes()).toString('utf8');
  }
  return { code, message: message.slice(0, MAX_ERROR_CHARACTERS) };
}
