/** Splits a byte stream into JSON values, one per line, as a watch sends them. Memory: one line, which has a limit. */

const NEWLINE = 0x0a;

/** Fed with chunks as they come. */
export class JsonLines {
  readonly #maxLineBytes: number;
  #parts: Buffer[] = [];
  #sizeBytes = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The values that end in this chunk. Errors: throws for a line that is too long or is no JSON. */
  push(chunk: Buffer): readonly unknown[] {
    const values: unknown[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      const line = this.#take();
      if (line.trim() !== '') values.push(JSON.parse(line));
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return values;
  }

  #keep(part: Buffer): void {
    this.#sizeBytes += part.length;
    if (this.#sizeBytes > this.#maxLineBytes)
      throw new Error(`a watch event is larger than ${this.#maxLineBytes} bytes`);
    this.#parts.push(part);
  }

  #take(): string {
    const line = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#sizeBytes = 0;
    return line.toString('utf8');
  }
}
