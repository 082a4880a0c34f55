import { deepStrictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { WireWriter } from '#base/proto-wire.ts';
import { FrameRewriter, type RewriteMessage } from './frame-rewriter.ts';

const OURS = 'type.googleapis.com/ours';

/** A response of that type, with a nonce by which it is known; larger than what is peeked at. */
function response(typeUrl: string, nonce: string): Buffer {
  const any = new WireWriter().string(1, typeUrl).bytes(2, Buffer.alloc(5_000)).finish();
  return grpcFrame(
    new WireWriter(6_000).string(1, 'v').bytes(2, any).string(4, typeUrl).string(5, nonce).finish(),
  );
}

/** Nonces in the order in which they come out. */
class Outlet {
  readonly nonces: string[] = [];
  readonly rewriter: FrameRewriter;
  readonly #reader = new GrpcFrameReader(1 << 20);

  constructor(rewrite: RewriteMessage) {
    this.rewriter = new FrameRewriter(OURS, rewrite);
    this.rewriter.on('data', (chunk: Buffer) => {
      for (const message of this.#reader.push(chunk)) {
        const text = Buffer.from(message).toString('latin1');
        this.nonces.push(/<[^>]*>/.exec(text)?.[0] ?? '?');
      }
    });
  }
}

const rename: RewriteMessage = async (message) =>
  Buffer.from(message.toString('latin1').replace(/<(\w+)>/, '<$1!>'), 'latin1');

describe('responses of one type are rewritten', () => {
  const stream = Buffer.concat([
    response('type.googleapis.com/other', '<a>'),
    response(OURS, '<b>'),
    grpcFrame(new Uint8Array()),
    response('type.googleapis.com/other', '<c>'),
    response(OURS, '<d>'),
  ]);

  for (const size of [1, 3, 7, 1_000, 2_053, 5_000, stream.length]) {
    it(`however the stream is cut: ${size} bytes at a time`, async () => {
      const outlet = new Outlet(rename);
      for (let at = 0; at < stream.length; at += size) {
        if (!outlet.rewriter.write(stream.subarray(at, at + size))) await once(outlet.rewriter, 'drain');
      }
      while (outlet.nonces.length < 5) await new Promise(setImmediate);
      deepStrictEqual(
        outlet.nonces.filter((nonce) => !nonce.includes('!')),
        ['<a>', '?', '<c>'],
      );
      deepStrictEqual(
        outlet.nonces.filter((nonce) => nonce.includes('!')),
        ['<b!>', '<d!>'],
      );
    });
  }

  it('in their own order, while others go on', async () => {
    const waiting: (() => void)[] = [];
    const outlet = new Outlet(async (message) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return rename(message);
    });
    outlet.rewriter.write(stream);
    while (outlet.nonces.length < 3 || waiting.length === 0) await new Promise(setImmediate);
    deepStrictEqual(outlet.nonces, ['<a>', '?', '<c>']);
    // In the middle of a message nothing may come between.
    const next = response('type.googleapis.com/other', '<e>');
    outlet.rewriter.write(next.subarray(0, 4_000));
    waiting.shift()?.();
    while (waiting.length === 0) await new Promise(setImmediate);
    outlet.rewriter.write(next.subarray(4_000));
    waiting.shift()?.();
    while (outlet.nonces.length < 6) await new Promise(setImmediate);
    deepStrictEqual(outlet.nonces, ['<a>', '?', '<c>', '<e>', '<b!>', '<d!>']);
  });

  it('and a stream that ends within a message loses nothing that it had', async () => {
    const outlet = new Outlet(rename);
    const chunks: Buffer[] = [];
    outlet.rewriter.on('data', (chunk: Buffer) => chunks.push(chunk));
    outlet.rewriter.end(stream.subarray(0, 100));
    await once(outlet.rewriter, 'end');
    deepStrictEqual(Buffer.concat(chunks), stream.subarray(0, 100));
  });
});
