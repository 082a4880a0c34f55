/**
 * Every golden case is taken by the real Envoy: the whole snapshot of each of its proxies, over live delta ADS. Nothing may
 * be refused, and everything must become active: a resource that warms for ever is a failure too.
 */
import { rejects } from 'node:assert';
import { after, before, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { encodeResource } from '#xds/encode.ts';
import { TYPE_CLUSTER } from '#xds/resource.ts';
import { type GoldenCase, goldenCases, goldenFeatures } from '../golden/golden-case.ts';
import { EnvoyFeed } from '../support/envoy-feed.ts';
import { meshFixture } from '../support/mesh-fixture.ts';
import { envoyPath } from './agent-fixture.ts';

let feed: EnvoyFeed;

before(async () => {
  feed = await EnvoyFeed.start(await envoyPath());
});

after(() => feed[Symbol.asyncDispose]());

/**
 * Secrets of servers that are not here: Envoy waits for them for its fifteen seconds. test/envoy/external-secrets.test.ts has such
 * servers, and counts what Envoy refuses.
 */
function needsOtherServers({ header }: GoldenCase): boolean {
  const { extensionProviders = [] } = (header.meshConfig ?? {}) as MeshConfigJson;
  const isInPod = header.proxies.some(({ metadata }) => metadata?.['credential'] === 'true');
  return isInPod || extensionProviders.some(({ sds }) => sds !== undefined);
}

/** Caches of unknown hosts stay in an Envoy under one name, and those of another mesh have other settings. */
function looksUnknownHostsUp({ header }: GoldenCase): boolean {
  const { outboundTrafficPolicy } = (header.meshConfig ?? {}) as MeshConfigJson;
  return outboundTrafficPolicy?.mode === 'ALLOW_ANY_DYNAMIC_DNS';
}

for (const golden of goldenFeatures().flatMap(goldenCases)) {
  // What a gRPC library gets is nothing for Envoy; test/envoy/proxyless-grpc.test.ts has one that takes it.
  const proxies = golden.header.proxies.filter(({ generator }) => generator !== 'grpc');
  if (proxies.length === 0 || needsOtherServers(golden)) continue;
  test(`Envoy takes ${golden.feature}/${golden.name}`, async () => {
    const fixture = golden.start();
    await using own = looksUnknownHostsUp(golden) ? await EnvoyFeed.start(await envoyPath()) : undefined;
    for (const { name } of proxies) await (own ?? feed).accept(fixture.entries(name));
  });
}

test('what Envoy refuses is found out', async () => {
  const fixture = meshFixture();
  fixture.connect({ name: 'client' });
  const snapshot = fixture.entries('client');
  // Proto validation: a timeout must be positive.
  const cluster = create(ClusterSchema, { name: 'bad', connectTimeout: { seconds: -1n, nanos: 0 } });
  const resource = encodeResource(ClusterSchema, cluster, TYPE_CLUSTER, 'bad');
  const clusters = snapshot.clusters.set('bad', { resource, causes: [] });
  await rejects(feed.accept({ ...snapshot, clusters }), /Envoy refused: .*bad/s);
});
