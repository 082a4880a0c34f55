import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { PlainCallers } from './plain-callers.ts';
import { parseSamples, type Sample } from './prometheus-text.ts';

const MINUTE_MS = 60_000;

function samples(...lines: readonly (readonly [string, string, number])[]): readonly Sample[] {
  const text = lines.map(([name, labels, value]) => `istio_${name}{${labels}} ${value}\n`).join('');
  return parseSamples(text, 'istio_');
}

const labels = (source: string, policy = 'none', reporter = 'destination'): string =>
  `reporter="${reporter}",source_workload="${source}",source_workload_namespace="ns",connection_security_policy="${policy}"`;
const caller = (source: string, requests: number, atMs: number, protocol: 'http' | 'tcp' = 'http') => {
  return { source, namespace: 'ns', protocol, requests, lastSeen: new Date(atMs).toISOString() };
};

test('callers in plain text are counted, others are not', () => {
  const callers = new PlainCallers();
  callers.note(
    'shop/web',
    'shop/web-0',
    samples(
      ['requests_total', `${labels('old')},response_code="200"`, 3],
      ['requests_total', `${labels('old')},response_code="404"`, 2],
      ['requests_total', labels('new', 'mutual_tls'), 7],
      ['requests_total', labels('web', 'none', 'source'), 7],
      ['request_bytes_sum', labels('other'), 7],
    ),
    0,
  );
  deepStrictEqual(callers.of('shop/web'), [caller('old', 5, 0)]);
  deepStrictEqual(callers.of('shop/other'), []);
});

test('a quiet caller keeps the time of its last call, over replicas and restarts of a proxy', () => {
  const callers = new PlainCallers();
  const note = (replica: string, value: number, atMs: number): void =>
    callers.note('a/b', replica, samples(['requests_total', labels('x'), value]), atMs);
  note('a/b-0', 4, 0);
  note('a/b-0', 4, MINUTE_MS);
  deepStrictEqual(callers.of('a/b'), [caller('x', 4, 0)]);
  note('a/b-1', 2, MINUTE_MS);
  deepStrictEqual(callers.of('a/b'), [caller('x', 6, MINUTE_MS)]);
  note('a/b-0', 1, 2 * MINUTE_MS);
  deepStrictEqual(callers.of('a/b'), [caller('x', 7, 2 * MINUTE_MS)]);
  callers.retain(new Set(['a/b-1']));
  note('a/b-0', 1, 3 * MINUTE_MS);
  deepStrictEqual(callers.of('a/b'), [caller('x', 8, 3 * MINUTE_MS)]);
});

test('a connection that goes on is seen by its bytes, and an hour of silence ends it', () => {
  const callers = new PlainCallers();
  const note = (bytes: number, atMs: number): void =>
    callers.note(
      'a/b',
      'a/b-0',
      samples(
        ['tcp_connections_opened_total', labels('x'), 1],
        ['tcp_received_bytes_total', labels('x'), bytes],
      ),
      atMs,
    );
  note(10, 0);
  note(20, MINUTE_MS);
  deepStrictEqual(callers.of('a/b'), [caller('x', 1, MINUTE_MS, 'tcp')]);
  note(20, 62 * MINUTE_MS);
  deepStrictEqual(callers.of('a/b'), []);
});

test('what callers say of themselves fills no memory (T40)', () => {
  const callers = new PlainCallers();
  const many = Array.from({ length: 3000 }, (_, i) => ['requests_total', labels(`w${i}`), 1] as const);
  callers.note('a/b', 'a/b-0', samples(...many), 0);
  deepStrictEqual(callers.of('a/b').length, 2000);
});
