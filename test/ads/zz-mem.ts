import { FakeWorld, snapshotOf } from './fake-world.ts';
import { DeltaClient } from './scripted-client.ts';
import { MemoryStream } from './memory-stream.ts';
import { LOCAL_PEER } from './fake-world.ts';
import { create, toBinary } from '@bufbuild/protobuf';
import { DeltaDiscoveryRequestSchema } from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_CLUSTER as CDS, TYPE_ENDPOINT as EDS } from '#xds/resource.ts';
const world = new FakeWorld();
const S = 3000, N = 300;
const names = Array.from({ length: S }, (_, i) => `outbound|80||svc-${i}.ns-${i % 20}.svc.cluster.local`);
const first = snapshotOf({ clusters: names.map((name) => ({ name, revision: 1, isEds: true })), endpoints: names.map((name) => ({ name, revision: 1 })) });
const ids = Array.from({ length: N }, (_, i) => `sidecar~10.0.${i >> 8}.${i & 255}~app-${i}.default~default.svc.cluster.local`);
world.publish(first, ...ids);
const enc = (r: any) => toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, r));
const sub = enc({ typeUrl: EDS, resourceNamesSubscribe: names });
const streams = ids.map(() => new MemoryStream());
let t = performance.now();
for (const [i, s] of streams.entries()) { world.server.serveDelta(s, LOCAL_PEER); s.receive(enc({ typeUrl: CDS, node: { id: ids[i]! } })); s.sent.length = 0; s.receive(sub); s.sent.length = 0; }
console.log('server ms per connect', (performance.now() - t) / N);
const ack = (k: number) => { for (const [i, s] of streams.entries()) for (const type of [CDS, EDS]) for (let n = 1; n <= k; n++) s.receive(enc({ typeUrl: type, responseNonce: `app-${i}.default-${i + 1}/${n}` })); };
ack(2);
for (let rev = 2; rev < 6; rev++) {
  const e = first.endpoints.get(names[5]!)!;
  const next = { ...first, endpoints: first.endpoints.set(names[5]!, { ...e, resource: { ...e.resource, version: 'v' + rev } }) };
  t = performance.now(); world.publish(next, ...ids); const ms = performance.now() - t;
  const sent = streams.filter((s) => s.sent.length === 1).length; for (const s of streams) s.sent.length = 0;
  t = performance.now(); ack(rev + 1);
  console.log('push µs per connection', (ms * 1000) / N, sent, 'acks µs', ((performance.now() - t) * 1000) / N);
}
