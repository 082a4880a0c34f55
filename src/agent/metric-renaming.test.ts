import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FrameCounter } from './frame-counter.ts';
import { MetricRenamer } from './metric-renaming.ts';

function rename(chunks: readonly (string | Buffer)[]): string {
  const renamer = new MetricRenamer();
  const parts = chunks.flatMap((chunk) => renamer.push(Buffer.from(chunk)));
  return Buffer.concat([...parts, ...renamer.finish()]).toString();
}

describe('metric names', () => {
  const cases: readonly [name: string, given: string, expected: string][] = [
    [
      'ours lose the prefix',
      'envoy_wasmcustom_istio_requests_total{a="b"} 1\n',
      'istio_requests_total{a="b"} 1\n',
    ],
    ['so do their types', '# TYPE envoy_wasmcustom_istio_x counter\n', '# TYPE istio_x counter\n'],
    ['and their help', '# HELP envoy_wasmcustom_istio_x text\n', '# HELP istio_x text\n'],
    ['stripped ones stay', 'istio_requests_total 1\n', 'istio_requests_total 1\n'],
    [
      "Envoy's own stay",
      'envoy_server_live 1\nenvoy_wasmcustom_other 2\n',
      'envoy_server_live 1\nenvoy_wasmcustom_other 2\n',
    ],
    ['values of labels stay', 'x{y="envoy_wasmcustom_istio_z"} 1\n', 'x{y="envoy_wasmcustom_istio_z"} 1\n'],
    ['other comments stay', '# envoy_wasmcustom_istio_z\n', '# envoy_wasmcustom_istio_z\n'],
    [
      'a type in the middle of a line stays',
      'x # TYPE envoy_wasmcustom_istio_z\n',
      'x # TYPE envoy_wasmcustom_istio_z\n',
    ],
    ['a missing last newline comes', 'envoy_wasmcustom_istio_x 1', 'istio_x 1\n'],
    ['nothing is nothing', '', ''],
  ];
  for (const [name, given, expected] of cases) {
    it(name, () => assert.equal(rename([given]), expected));
  }

  it('do not depend on where chunks are cut', () => {
    const line = fc.constantFrom(...cases.map(([, given]) => given), '\n', 'é=1\n');
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat({ max: 400 })), (lines, cuts) => {
        const whole = Buffer.from(lines.join(''));
        const places = [
          0,
          ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b),
          whole.length,
        ];
        const chunks = places.slice(1).map((end, index) => whole.subarray(places[index], end));
        assert.equal(rename(chunks), rename([whole]));
      }),
    );
  });

  it('pass in bounded memory through a line that never ends', () => {
    const renamer = new MetricRenamer();
    let bytes = 0;
    for (let round = 0; round < 64; round++) {
      for (const part of renamer.push(Buffer.alloc(64 * 1024, 0x61))) bytes += part.length;
    }
    for (const part of renamer.finish()) bytes += part.length;
    assert.ok(bytes >= 64 * 64 * 1024);
  });
});

describe('a frame counter', () => {
  it('counts messages however the bytes arrive', () => {
    const frame = (length: number): Buffer => {
      const bytes = Buffer.alloc(5 + length, 1);
      bytes.writeUInt8(0, 0);
      bytes.writeUInt32BE(length, 1);
      return bytes;
    };
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 700 })), fc.integer({ min: 1, max: 50 }), (lengths, size) => {
        const all = Buffer.concat(lengths.map(frame));
        const counter = new FrameCounter();
        let count = 0;
        for (let at = 0; at < all.length; at += size) count += counter.push(all.subarray(at, at + size));
        assert.equal(count, lengths.length);
      }),
    );
  });
});
