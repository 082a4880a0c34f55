import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { createEngine } from '#collections/engine.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { TrustAnchors } from '#model/trust-bundle.ts';
import { ProxyConfigSchema } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { buildTrustBundle, createTrustBundle } from './trust-bundle.ts';

test('a bundle reads as the ProxyConfig that agents of Istio ask for, revocation lists aside', () => {
  const { bytes, name } = buildTrustBundle({
    rootPems: ['A'],
    peerRootPems: ['B'],
    revocationPems: ['L'],
  });
  const message = fromBinary(ProxyConfigSchema, bytes);
  assert.deepEqual([name, message.caCertificatesPem], ['trust-bundle', ['A', 'B']]);
  assert.equal(message.$unknown?.length, 2);
});

test('all sources together make one bundle, the same in whatever order they come', () => {
  const engine = createEngine({ onError: (...failure) => assert.fail(failure.map(String).join(' ')) });
  const anchors = engine.source<TrustAnchors>('anchors');
  const bundles = createTrustBundle(engine, anchors);
  const roots = (): readonly string[] => {
    engine.settle();
    const [entry] = bundles.bucket(MESH_KEY).values();
    return entry === undefined ? [] : fromBinary(ProxyConfigSchema, entry.resource.bytes).caCertificatesPem;
  };
  assert.deepEqual(roots(), []);
  anchors.set('other', { rootPems: [], peerRootPems: ['C', 'A'], revocationPems: [] });
  anchors.set('authority', { rootPems: ['B', 'C'], peerRootPems: [], revocationPems: [] });
  assert.deepEqual(roots(), ['B', 'C', 'A'], 'those for peers only are the last ones');
  const [before] = bundles.bucket(MESH_KEY).values();
  anchors.set('authority', { rootPems: ['B'], peerRootPems: [], revocationPems: [] });
  assert.deepEqual(roots(), ['B', 'A', 'C']);
  assert.notEqual([...bundles.bucket(MESH_KEY).values()][0], before, 'C vouches for less now');
  anchors.delete('other');
  assert.deepEqual(roots(), ['B']);
});
