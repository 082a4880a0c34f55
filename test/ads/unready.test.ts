/** While the mesh is not whole yet, proxies are sent away: an empty answer would take away all that they have. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { noMetrics } from '#ads/ads-metrics.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_CLUSTER } from '#xds/resource.ts';
import { createMesh } from '../../src/main/mesh.ts';
import { openXdsDoor } from '../../src/main/xds-door.ts';
import { DELTA_METHOD, RawStream } from './grpc-rig.ts';

const raw = (bytes: Buffer): Buffer => bytes;

test('a proxy that comes before the mesh is whole is told to come again, and then served', async () => {
  let isReady = false;
  const mesh = createMesh({
    meshConfig: {},
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    onError: (collection, key, error) => {
      throw new Error(`${collection} ${key}: ${String(error)}`);
    },
  });
  await mesh.driver.settled();
  const door = await openXdsDoor({
    mesh,
    clock: systemClock(),
    rng: seededRng(1),
    log: silentLogger(),
    metrics: noMetrics(),
    version: 'test',
    plain: { host: '127.0.0.1', port: 0 },
    isReady: () => isReady,
  });
  const client = new Client(`127.0.0.1:${door.plainPort}`, credentials.createInsecure());
  const ask = (): RawStream => {
    const stream = new RawStream(client.makeBidiStreamRequest(DELTA_METHOD, raw, raw));
    const node = { id: 'sidecar~10.9.0.1~a.default~default.svc.cluster.local', cluster: 'a' };
    const request = create(DeltaDiscoveryRequestSchema, { node, typeUrl: TYPE_CLUSTER });
    stream.send(toBinary(DeltaDiscoveryRequestSchema, request));
    return stream;
  };
  try {
    strictEqual(await ask().ended(), 14);
    strictEqual(mesh.proxies.size, 0);
    isReady = true;
    const answer = fromBinary(DeltaDiscoveryResponseSchema, await ask().next());
    deepStrictEqual([answer.typeUrl, answer.resources.length > 0], [TYPE_CLUSTER, true]);
  } finally {
    client.close();
    await door.close();
  }
});
