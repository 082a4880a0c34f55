/** Tracing does not end what proxies share: who sends a span is in Envoy's environment, not in listeners. */
import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { PLAIN_TRAITS } from '#model/proxy.ts';
import type { Resource } from '#xds/resource.ts';
import { meshFixture } from '../support/mesh-fixture.ts';

const MESH = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}, {name: tcp-raw, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: spans, namespace: default}
spec: {clusterIP: 10.1.0.2, ports: [{name: grpc, port: 4317}]}
`;
const SERVICE = { service: 'spans.default.svc.cluster.local', port: 4317 };
const TRACERS = [
  { zipkin: SERVICE },
  { datadog: SERVICE },
  { skywalking: SERVICE },
  { opentelemetry: SERVICE },
];

for (const tracer of TRACERS) {
  test(`workloads share listeners that trace by ${Object.keys(tracer)[0]}`, () => {
    const fixture = meshFixture();
    fixture.configure({
      extensionProviders: [{ name: 'spans', ...tracer }],
      defaultProviders: { tracing: ['spans'] },
    });
    fixture.apply(MESH);
    const traits = { ...PLAIN_TRAITS, serviceCluster: 'a.default' };
    fixture.connect({ name: 'a', ip: '10.9.0.1', labels: { app: 'a' }, traits });
    fixture.connect({ name: 'b', ip: '10.9.0.2', labels: { app: 'b' }, metadata: { MESH_ID: 'm' } });
    // Agents of others: what a span says of a workload stands in the listeners themselves.
    const foreign = { ...traits, foreign: true };
    fixture.connect({ name: 'c', ip: '10.9.0.3', traits: foreign });
    fixture.connect({ name: 'd', ip: '10.9.0.4', metadata: { MESH_ID: 'other' }, traits: foreign });
    const listener = (proxy: string, name: string): Resource => {
      const found = fixture.entries(proxy).listeners.get(name)?.resource;
      ok(found !== undefined, `${proxy} has no ${name}`);
      return found;
    };
    for (const name of ['0.0.0.0_80', '10.1.0.1_9000']) strictEqual(listener('a', name), listener('b', name));
    // Bytes are nobody's trace: proxies that differ in it have one listener for them all the same.
    strictEqual(listener('c', '10.1.0.1_9000'), listener('d', '10.1.0.1_9000'));
    for (const other of ['a', 'd'])
      notStrictEqual(listener(other, '0.0.0.0_80').version, listener('c', '0.0.0.0_80').version);
    deepStrictEqual(listener('a', '0.0.0.0_80').references, [
      '80',
      'outbound|4317||spans.default.svc.cluster.local',
    ]);
    ok(
      listener('a', 'virtualInbound').references?.includes('outbound|4317||spans.default.svc.cluster.local'),
    );
  });
}
