/** Counts the gRPC messages of a byte stream that passes by, without keeping a byte of them. */
import { GRPC_HEADER_BYTES } from '#base/grpc-frame.ts';

export class FrameCounter {
  /** How much of the current header has passed, and the length that it has told so far. */
  #headerBytes = 0;
  #length = 0;
  #bodyLeft = 0;

  /** True when no message is half way. */
  get isBetween(): boolean {
    return this.#headerBytes === 0 && this.#bodyLeft === 0;
  }

  /** Takes a chunk and returns how many messages began in it. */
  push(chunk: Uint8Array): number {
    let begun = 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.#bodyLeft > 0) {
        const passed = Math.min(this.#bodyLeft, chunk.length - at);
        this.#bodyLeft -= passed;
        at += passed;
      } else {
        if (this.#takeHeaderByte(chunk[at] ?? 0)) begun++;
        at++;
      }
    }
    return begun;
  }

  /** The first byte is the compression flag, four bytes of length follow. True when the header is complete. */
  #takeHeaderByte(byte: number): boolean {
    if (this.#headerBytes > 0) this.#length = this.#length * 256 + byte;
    this.#headerBytes++;
    if (this.#headerBytes < GRPC_HEADER_BYTES) return false;
    this.#bodyLeft = this.#length;
    this.#headerBytes = 0;
    this.#length = 0;
    return true;
  }
}
