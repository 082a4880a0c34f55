/**
 * gRPC's message framing (five bytes: compressed flag, length) and status codes, for both ends: the xDS server in ads/ and
 * the agent. A reader buffers at most one message of the permitted size; a longer declared length is refused before
 * a byte of it is kept.
 */

/** gRPC status codes that we send or look for. Source: grpc/doc/statuscodes.md. */
export const GRPC_OK = 0;
export const GRPC_CANCELLED = 1;
export const GRPC_UNKNOWN = 2;
export const GRPC_INVALID_ARGUMENT = 3;
export const GRPC_DEADLINE_EXCEEDED = 4;
export const GRPC_PERMISSION_DENIED = 7;
export const GRPC_RESOURCE_EXHAUSTED = 8;
export const GRPC_FAILED_PRECONDITION = 9;
export const GRPC_UNIMPLEMENTED = 12;
export const GRPC_INTERNAL = 13;
export const GRPC_UNAVAILABLE = 14;
export const GRPC_UNAUTHENTICATED = 16;

/** How a call ended. */
export interface GrpcStatus {
  readonly code: number;
  readonly message: string;
}

/** Makes a status. */
export function grpcStatus(code: number, message = ''): GrpcStatus {
  return { code, message };
}

/** The peer broke the framing: `status` is what to answer. */
export class GrpcFrameError extends Error {
  override readonly name = 'GrpcFrameError';
  readonly status: GrpcStatus;

  constructor(status: GrpcStatus) {
    super(status.message);
    this.status = status;
  }
}

export const GRPC_HEADER_BYTES = 5;

/** The five bytes in front of an uncompressed message of `length` bytes. */
export function grpcHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(GRPC_HEADER_BYTES);
  header[0] = 0;
  header.writeUInt32BE(length, 1);
  return header;
}

/** A message with its header, in one buffer. For small messages; large ones are written as chunks behind `grpcHeader`. */
export function grpcFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(GRPC_HEADER_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, GRPC_HEADER_BYTES);
  return frame;
}

/**
 * Cuts a byte stream into messages. A message that lies within one chunk is a view on it; one that spans chunks is copied
 * into a buffer that doubles with what has arrived (a peer that declares much and sends little costs little).
 */
export class GrpcFrameReader {
  readonly #header = Buffer.alloc(GRPC_HEADER_BYTES);
  #headerBytes = 0;
  /** Length of the message under way, -1 while its header is incomplete. */
  #length = -1;
  /** What has arrived of a message that spans chunks: the first `#kept` bytes of `#buffer`. */
  #buffer = Buffer.alloc(0);
  #kept = 0;
  #maxMessageBytes: number;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Raises or lowers the limit for the messages that follow. */
  setMaxMessageBytes(maxMessageBytes: number): void {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Bytes held of an unfinished message. */
  get pendingBytes(): number {
    return this.#headerBytes + this.#kept;
  }

  /** Takes a chunk and returns the messages that it completes. Errors: GrpcFrameError; the reader is useless after it. */
  push(chunk: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length || this.#length === 0) {
      if (this.#length < 0) {
        at += this.#takeHeader(chunk, at);
        continue;
      }
      const part = chunk.subarray(at, at + this.#length - this.#kept);
      at += part.length;
      if (this.#kept + part.length === this.#length) messages.push(this.#finish(part));
      else this.#keep(part);
    }
    return messages;
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const take = Math.min(GRPC_HEADER_BYTES - this.#headerBytes, chunk.length - at);
    this.#header.set(chunk.subarray(at, at + take), this.#headerBytes);
    this.#headerBytes += take;
    if (this.#headerBytes < GRPC_HEADER_BYTES) return take;
    if (this.#header[0] === 1) {
      throw new GrpcFrameError(grpcStatus(GRPC_UNIMPLEMENTED, 'compressed messages are not supported'));
    }
    if (this.#header[0] !== 0) throw new GrpcFrameError(grpcStatus(GRPC_INTERNAL, 'malformed gRPC frame'));
    const length = this.#header.readUInt32BE(1);
    if (length > this.#maxMessageBytes) {
      const text = `a message of ${length} bytes is over the limit of ${this.#maxMessageBytes}`;
      throw new GrpcFrameError(grpcStatus(GRPC_RESOURCE_EXHAUSTED, text));
    }
    this.#headerBytes = 0;
    this.#length = length;
    return take;
  }

  #keep(part: Uint8Array): void {
    const needed = this.#kept + part.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.#length, Math.max(needed, 2 * this.#buffer.length)));
      grown.set(this.#buffer.subarray(0, this.#kept));
      this.#buffer = grown;
    }
    this.#buffer.set(part, this.#kept);
    this.#kept = needed;
  }

  #finish(part: Uint8Array): Uint8Array {
    let whole = part;
    if (this.#kept > 0) {
      this.#keep(part);
      whole = this.#buffer.subarray(0, this.#length);
      this.#buffer = Buffer.alloc(0);
      this.#kept = 0;
    }
    this.#length = -1;
    return whole;
  }
}

/** Percent-encodes a status message for the `grpc-message` header. Source: grpc PROTOCOL-HTTP2.md, Status-Message. */
export function encodeGrpcMessage(message: string): string {
  let out = '';
  for (const byte of Buffer.from(message, 'utf8')) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** Reverses `encodeGrpcMessage`; a broken escape is kept as it stands. */
export function decodeGrpcMessage(encoded: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < encoded.length; at++) {
    const hex = encoded.slice(at + 1, at + 3);
    if (encoded[at] === '%' && /^[0-9A-Fa-f]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      at += 2;
    } else {
      bytes.push(...Buffer.from(encoded.charAt(at), 'utf8'));
    }
  }
  return Buffer.from(bytes).toString('utf8');
}
