import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { printEdgeLine, printEdges } from './edge-view.ts';
import { styleFor } from './style.ts';
import { printTable } from './table.ts';

const plain = styleFor(process.stdout, { NO_COLOR: '1' });
const EDGE = {
  source: 'web',
  sourceNamespace: 'shop',
  destination: 'api',
  destinationNamespace: 'default',
  protocol: 'http',
  requestsPerSecond: 12.34,
  successRate: 0.995,
  p50Ms: 3.21,
  p99Ms: 123.4,
  mtls: true,
} as const;

test('edges are a table with rates, success, latency and mTLS', () => {
  strictEqual(
    printEdges({ edges: [EDGE], windowMs: 10_000 }, plain),
    'SOURCE     DESTINATION   REQ/S   SUCCESS   P50     P99     MTLS\nweb.shop   api           12.3    99.5%     3.2ms   123ms   yes\n',
  );
});

test('an edge without requests has no success and no latency', () => {
  const { p50Ms: _p50, p99Ms: _p99, ...rest } = EDGE;
  strictEqual(
    printEdgeLine({ ...rest, requestsPerSecond: 0, mtls: false }),
    'web.shop -> api 0.0 req/s success - p50 - p99 - mtls no',
  );
});

test('no edges are said, too', () => {
  strictEqual(printEdges({ edges: [], windowMs: 2000 }, plain), 'no traffic yet\n');
  strictEqual(printEdges({ edges: [], windowMs: 0 }, plain), 'looking for traffic ...\n');
});

test('colours do not count as width, and no line ends in blanks', () => {
  strictEqual(
    printTable(
      ['A', 'B'],
      [
        ['\u001b[32mx\u001b[39m', ''],
        ['yyy', 'z'],
      ],
    ),
    'A     B\n\u001b[32mx\u001b[39m\nyyy   z\n',
  );
});
