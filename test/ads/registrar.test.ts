/** Who registers is told of streams and of health, on either variant of the protocol, and may send a proxy away. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { type HealthReport, type Registrar, TYPE_HEALTH } from '#ads/registrar.ts';
import { GRPC_FAILED_PRECONDITION, type GrpcStatus, grpcStatus } from '#base/grpc-frame.ts';
import { fail, ok } from '#base/result.ts';
import { TYPE_CLUSTER as CDS } from '#xds/resource.ts';
import { FakeWorld, NODE_ID, snapshotOf } from './fake-world.ts';
import { DeltaClient, SotwClient } from './scripted-client.ts';

/** A world with one who registers everybody and remembers it. */
function rig() {
  const events: (string | HealthReport)[] = [];
  const ends: ((status: GrpcStatus) => void)[] = [];
  const registrar: Registrar = {
    register({ proxy, end }) {
      events.push(`+${proxy.name}`);
      ends.push(end);
      return ok({
        report: (health) => events.push(health),
        [Symbol.dispose]: () => void events.push(`-${proxy.name}`),
      });
    },
  };
  const world = new FakeWorld({ registrar });
  world.publish(snapshotOf({}));
  return { world, events, ends };
}

const SICK = { isHealthy: false, message: 'connection refused' };
const WELL = { isHealthy: true, message: '' };
const errorDetail = { code: 13, message: 'connection refused' };

test('a delta client reports health, and is not answered', () => {
  const { world, events } = rig();
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.take();
  client.send({ typeUrl: TYPE_HEALTH, errorDetail }, { typeUrl: TYPE_HEALTH });
  deepStrictEqual([events, client.take()], [['+app-0', SICK, WELL], []]);
});

test('a state-of-the-world client does too', () => {
  const { world, events } = rig();
  const client = new SotwClient(world);
  client.ask(CDS);
  client.take();
  client.send({ typeUrl: TYPE_HEALTH, errorDetail });
  client.send({ typeUrl: TYPE_HEALTH });
  deepStrictEqual([events, client.take()], [['+app-0', SICK, WELL], []]);
});

test('a stream that ends is told, once', () => {
  const { world, events, ends } = rig();
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  ends[0]?.(grpcStatus(GRPC_FAILED_PRECONDITION, 'no longer'));
  client.stream.break();
  deepStrictEqual([events, client.stream.status?.message], [['+app-0', '-app-0'], 'no longer']);
});

test('a proxy that may not register is sent away, and not connected', () => {
  const refusal = grpcStatus(GRPC_FAILED_PRECONDITION, 'no such group');
  const world = new FakeWorld({ registrar: { register: () => fail(refusal) } });
  world.publish(snapshotOf({}));
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  deepStrictEqual(client.stream.status, refusal);
  strictEqual(world.source.proxies.has(NODE_ID), false);
});
