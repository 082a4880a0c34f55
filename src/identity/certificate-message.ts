/**
 * The two messages of `istio.v1.auth.IstioCertificateService/CreateCertificate`, by hand: the CA reads requests and writes
 * responses, the agent does the reverse, and neither needs a protobuf library for that. Reading is bounded by the
 * caller's message limit; unknown fields are skipped.
 */
import { fail, ok, type Result } from '#base/result.ts';
import { WireError, WireReader, WireWriter } from '#base/proto-wire.ts';

/** Where the CA answers. Source: istio.io/api security/v1alpha1/ca.proto. */
export const createCertificatePath = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

/** IstioCertificateRequest. */
export interface CertificateCall {
  readonly csrPem: string;
  /** Asked lifetime in seconds; 0 leaves it to the CA. A negative one on the wire reads as more than 2^63. */
  readonly validitySeconds: number;
  /** The metadata entries by name; '' for what is no text. */
  readonly metadata: ReadonlyMap<string, string>;
}

const maxMetadataEntries = 16;

/** Reads a request. Errors: bytes that are no such message. */
export function decodeCertificateCall(bytes: Uint8Array): Result<CertificateCall, string> {
  try {
    return ok(readCall(bytes));
  } catch (error) {
    if (error instanceof WireError) return fail(error.message);
    throw error;
  }
}

function readCall(bytes: Uint8Array): CertificateCall {
  const reader = new WireReader(bytes);
  let csrPem = '';
  let validitySeconds = 0;
  let metadata: ReadonlyMap<string, string> = new Map();
  while (reader.next()) {
    if (reader.field === 1) csrPem = reader.string();
    else if (reader.field === 3) validitySeconds = reader.varint();
    else if (reader.field === 4) metadata = readStruct(reader.bytes());
  }
  return { csrPem, validitySeconds, metadata };
}

/** The fields of a google.protobuf.Struct that are texts; the others count by name. */
function readStruct(bytes: Uint8Array): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  const fields = new WireReader(bytes);
  for (let count = 0; fields.next(); ) {
    if (fields.field !== 1) continue;
    if (++count > maxMetadataEntries) throw new WireError('too many metadata entries');
    const entry = new WireReader(fields.bytes());
    let name = '';
    let text = '';
    while (entry.next()) {
      if (entry.field === 1) name = entry.string();
      else if (entry.field === 2) text = readText(entry.bytes());
    }
    entries.set(name, text);
  }
  return entries;
}

/** The string_value of a google.protobuf.Value. */
function readText(bytes: Uint8Array): string {
  const value = new WireReader(bytes);
  let text = '';
  while (value.next()) if (value.field === 3) text = value.string();
  return text;
}

/** Name of the metadata entry that says which signer is to sign. Source: Istio pkg/security CertSigner. */
export const CERT_SIGNER_METADATA = 'CertSigner';

/** Writes a request as the agent sends it; without a signer's name the CA chooses. */
export function encodeCertificateCall(csrPem: string, validitySeconds: number, certSigner = ''): Uint8Array {
  const writer = new WireWriter(csrPem.length + 64).string(1, csrPem);
  if (validitySeconds > 0) writer.varint(3, Math.round(validitySeconds));
  if (certSigner !== '') {
    const value = new WireWriter(64).string(3, certSigner).finish();
    const entry = new WireWriter(96).string(1, CERT_SIGNER_METADATA).bytes(2, value).finish();
    writer.bytes(4, new WireWriter(128).bytes(1, entry).finish());
  }
  return writer.finish();
}

/** Writes a response: the leaf first, the root last, each PEM one entry. */
export function encodeCertificateReply(chain: readonly string[]): Uint8Array {
  const writer = new WireWriter(4096);
  for (const pem of chain) writer.string(1, pem);
  return writer.finish();
}

/** Reads a response to its PEM entries. Errors: bytes that are no such message. */
export function decodeCertificateReply(bytes: Uint8Array): Result<readonly string[], string> {
  try {
    const chain: string[] = [];
    const reader = new WireReader(bytes);
    while (reader.next()) if (reader.field === 1) chain.push(reader.string());
    return ok(chain);
  } catch (error) {
    if (error instanceof WireError) return fail(error.message);
    throw error;
  }
}
