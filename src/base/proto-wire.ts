/**
 * A hand codec for the few protobuf messages that ads/ and agent/ read and write themselves (discovery requests and
 * responses, nodes, DNS tables): tags, varints, length-delimited fields, nothing else. Reading is a single pass over the
 * caller's bytes without copies; every malformed input ends in WireError, never in a read past the end.
 */

/** Malformed protobuf bytes. Callers at a border turn it into a refusal. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Protobuf wire types; groups (3, 4) are refused. */
export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_FIXED32 = 5;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads fields one after another: `while (reader.next()) switch (reader.field) …`. */
export class WireReader {
  /** Number and wire type of the field that `next` found. */
  field = 0;
  wireType = 0;
  readonly #data: Uint8Array;
  readonly #view: DataView;
  #at: number;
  readonly #end: number;
  /** True while the value of the current field has not been read. */
  #unread = false;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.#at = 0;
    this.#end = data.byteLength;
  }

  /** Moves to the next field, skipping the current value if nobody read it; false at the end. */
  next(): boolean {
    if (this.#unread) this.skip();
    if (this.#at >= this.#end) return false;
    const tag = this.#rawVarint();
    this.field = Math.floor(tag / 8);
    this.wireType = tag % 8;
    if (this.field === 0 || this.field > 0x1fffffff)
      throw new WireError(`field number ${this.field} is out of range`);
    this.#unread = true;
    return true;
  }

  /** The value of a varint field as a number; values over 2^53 lose precision, which none of our messages has. */
  varint(): number {
    this.#expect(WIRE_VARINT);
    return this.#rawVarint();
  }

  /** A varint field read as a 32-bit signed integer (int32 and enums: negative numbers take ten bytes). */
  int32(): number {
    this.#expect(WIRE_VARINT);
    return this.#lowVarint() | 0;
  }

  bool(): boolean {
    return this.varint() !== 0;
  }

  double(): number {
    this.#expect(WIRE_FIXED64);
    this.#need(8);
    const value = this.#view.getFloat64(this.#at, true);
    this.#at += 8;
    return value;
  }

  /** The bytes of a length-delimited field: a view on the input, not a copy. */
  bytes(): Uint8Array {
    this.#expect(WIRE_BYTES);
    const length = this.#rawVarint();
    this.#need(length);
    const value = this.#data.subarray(this.#at, this.#at + length);
    this.#at += length;
    return value;
  }

  /** A string field; invalid UTF-8 is refused, as protobuf demands. */
  string(): string {
    return decodeUtf8(this.bytes());
  }

  skip(): void {
    switch (this.wireType) {
      case WIRE_VARINT:
        this.#expect(WIRE_VARINT);
        this.#lowVarint();
        return;
      case WIRE_FIXED64:
        return this.#jump(8);
      case WIRE_BYTES:
        this.bytes();
        return;
      case WIRE_FIXED32:
        return this.#jump(4);
      default:
        throw new WireError(`wire type ${this.wireType} is not supported`);
    }
  }

  #jump(length: number): void {
    this.#need(length);
    this.#at += length;
    this.#unread = false;
  }

  #expect(wireType: number): void {
    if (this.wireType !== wireType)
      throw new WireError(`field ${this.field} has wire type ${this.wireType}, not ${wireType}`);
    this.#unread = false;
  }

  #need(length: number): void {
    if (length > this.#end - this.#at) throw new WireError('the message ends within a field');
  }

  #rawVarint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      this.#need(1);
      const byte = this.#view.getUint8(this.#at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new WireError('a varint is longer than ten bytes');
  }

  #lowVarint(): number {
    let value = 0;
    for (let count = 0; count < 10; count++) {
      this.#need(1);
      const byte = this.#view.getUint8(this.#at++);
      if (count < 5) value |= (byte & 0x7f) << (7 * count);
      if (byte < 0x80) return value;
    }
    throw new WireError('a varint is longer than ten bytes');
  }
}

/** Strict UTF-8 to string. Errors: WireError. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new WireError('a string is not valid UTF-8', { cause });
  }
}

/** How many bytes a varint takes. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Appends fields to a buffer that grows; `finish` gives the bytes written. Defaults are the caller's business. */
export class WireWriter {
  #buffer: Buffer;
  #at = 0;

  constructor(capacityBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(capacityBytes);
  }

  get length(): number {
    return this.#at;
  }

  varint(field: number, value: number): this {
    this.#tag(field, WIRE_VARINT);
    return this.rawVarint(value);
  }

  string(field: number, value: string): this {
    const length = Buffer.byteLength(value);
    this.openBytes(field, length);
    this.#reserve(length);
    this.#buffer.write(value, this.#at, 'utf8');
    this.#at += length;
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    return this.openBytes(field, value.length).raw(value);
  }

  /** Writes tag and length of a length-delimited field whose content of `length` bytes the caller writes next. */
  openBytes(field: number, length: number): this {
    this.#tag(field, WIRE_BYTES);
    return this.rawVarint(length);
  }

  raw(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  rawVarint(value: number): this {
    this.#reserve(10);
    let rest = value;
    while (rest >= 128) {
      this.#buffer[this.#at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#at++] = rest;
    return this;
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }

  #tag(field: number, wireType: number): void {
    this.rawVarint(field * 8 + wireType);
  }

  #reserve(length: number): void {
    const needed = this.#at + length;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
  }
}
