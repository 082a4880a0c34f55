/**
 * The discovery messages that the agent reads and writes itself, to serve two secrets: requests and responses of both
 * protocols (state of the world and delta) and `Secret`, by hand. Everything else on the wire passes through the agent unread.
 * Source: envoy/service/discovery/v3/discovery.proto, extensions/transport_sockets/tls/v3/{secret,common}.proto.
 */
import { WireReader, WireWriter } from '#base/proto-wire.ts';
import type { Secret } from '#base/secret.ts';

export const secretTypeUrl = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

/** What a DiscoveryRequest (state of the world) says that matters here. */
export interface SotwRequest {
  readonly names: readonly string[];
  readonly typeUrl: string;
  readonly nonce: string;
  /** What the client could not apply; '' when it accepts. */
  readonly error: string;
}

/** What a DeltaDiscoveryRequest says that matters here. */
export interface DeltaRequest {
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Names that the client holds already, by version. */
  readonly held: ReadonlyMap<string, string>;
  readonly nonce: string;
  readonly error: string;
}

/** One resource, encoded: `body` is the bytes of its message. */
export interface EncodedSecret {
  readonly name: string;
  readonly version: string;
  readonly body: Uint8Array;
}

/** Reads a DiscoveryRequest. Errors: WireError. */
export function decodeSotwRequest(bytes: Uint8Array): SotwRequest {
  const reader = new WireReader(bytes);
  const names: string[] = [];
  let typeUrl = '';
  let nonce = '';
  let error = '';
  while (reader.next()) {
    if (reader.field === 3) names.push(reader.string());
    else if (reader.field === 4) typeUrl = reader.string();
    else if (reader.field === 5) nonce = reader.string();
    else if (reader.field === 6) error = readStatusMessage(reader.bytes());
  }
  return { names, typeUrl, nonce, error };
}

/** Reads a DeltaDiscoveryRequest. Errors: WireError. */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const reader = new WireReader(bytes);
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  const held = new Map<string, string>();
  let typeUrl = '';
  let nonce = '';
  let error = '';
  while (reader.next()) {
    if (reader.field === 2) typeUrl = reader.string();
    else if (reader.field === 3) subscribe.push(reader.string());
    else if (reader.field === 4) unsubscribe.push(reader.string());
    else if (reader.field === 5) readHeld(reader.bytes(), held);
    else if (reader.field === 6) nonce = reader.string();
    else if (reader.field === 7) error = readStatusMessage(reader.bytes());
  }
  return { typeUrl, subscribe, unsubscribe, held, nonce, error };
}

function readHeld(bytes: Uint8Array, held: Map<string, string>): void {
  const reader = new WireReader(bytes);
  let name = '';
  let version = '';
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) version = reader.string();
  }
  held.set(name, version);
}

/** google.rpc.Status.message; a status without one still counts as an error. */
function readStatusMessage(bytes: Uint8Array): string {
  const reader = new WireReader(bytes);
  let message = '';
  while (reader.next()) if (reader.field === 2) message = reader.string();
  return message === '' ? 'rejected without a message' : message;
}

/** Writes a DiscoveryResponse with all given secrets. */
export function encodeSotwResponse(
  version: string,
  nonce: string,
  secrets: readonly EncodedSecret[],
): Uint8Array {
  const writer = new WireWriter(8192).string(1, version);
  for (const secret of secrets) writer.bytes(2, encodeAny(secret.body));
  return writer.string(4, secretTypeUrl).string(5, nonce).finish();
}

/** Writes a DeltaDiscoveryResponse: secrets changed, and names that do not exist. */
export function encodeDeltaResponse(
  version: string,
  nonce: string,
  secrets: readonly EncodedSecret[],
  removed: readonly string[],
): Uint8Array {
  const writer = new WireWriter(8192).string(1, version);
  for (const secret of secrets) {
    const any = encodeAny(secret.body);
    writer.bytes(2, new WireWriter().string(1, secret.version).bytes(2, any).string(3, secret.name).finish());
  }
  writer.string(4, secretTypeUrl).string(5, nonce);
  for (const name of removed) writer.string(6, name);
  return writer.finish();
}

function encodeAny(body: Uint8Array): Uint8Array {
  return new WireWriter(body.length + 128).string(1, secretTypeUrl).bytes(2, body).finish();
}

/** Secret with a TlsCertificate: the chain in PEM and its private key. */
export function encodeCertificateSecret(name: string, chainPem: string, privateKey: Secret): Uint8Array {
  const chain = encodeInlineBytes(chainPem);
  const key = encodeInlineBytes(privateKey.reveal());
  const certificate = new WireWriter(8192).bytes(1, chain).bytes(2, key).finish();
  return new WireWriter(8192).string(1, name).bytes(2, certificate).finish();
}

/** Secret with a CertificateValidationContext: the roots in PEM, and revocation lists; '' for none. */
export function encodeRootsSecret(name: string, rootsPem: string, revocationsPem = ''): Uint8Array {
  const context = new WireWriter(4096).bytes(1, encodeInlineBytes(rootsPem));
  if (revocationsPem !== '') context.bytes(7, encodeInlineBytes(revocationsPem));
  return new WireWriter(4096).string(1, name).bytes(4, context.finish()).finish();
}

/** DataSource.inline_bytes. */
function encodeInlineBytes(text: string): Uint8Array {
  return new WireWriter(text.length + 16).bytes(2, Buffer.from(text)).finish();
}
