/** DNS over TCP: messages with two bytes of length before each. A reader holds one message at most. Source: RFC 7766. */

/** A message as it goes over a stream. */
export function streamFrame(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(2 + message.length);
  frame.writeUInt16BE(message.length, 0);
  frame.set(message, 2);
  return frame;
}

/** Cuts a byte stream into messages. */
export class DnsStreamReader {
  #kept: Buffer = Buffer.alloc(0);

  /** Takes a chunk and returns the messages that it completes. */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    let rest = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    while (rest.length >= 2) {
      const end = 2 + rest.readUInt16BE(0);
      if (rest.length < end) break;
      messages.push(rest.subarray(2, end));
      rest = rest.subarray(end);
    }
    this.#kept = rest;
    return messages;
  }
}
