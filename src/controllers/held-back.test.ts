import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import type { MeshObject } from '#api/mesh-object.ts';
import { TestClock } from '#base/clock.ts';
import { createLogger, LogLevels } from '#base/logger.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import { createEngine } from '#collections/engine.ts';
import type { HeldBack } from '#model/held-back.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { HeldBackController, type ShapedResource } from './held-back.ts';
import { VerdictStore } from './verdict-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-controller-'));
after(() => rmSync(folder, { recursive: true }));

function virtualService(name: string, text: string): MeshObject {
  const spec = { hosts: [name], http: [{ match: [{ uri: { regex: text } }] }] };
  const head = { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', namespace: 'n', name };
  return { ...head, labels: {}, annotations: {}, createdAtMs: 0, spec, hash: text };
}

const HUGE = 'a{1000}'.repeat(33);
const isBad = ({ hash }: MeshObject): boolean => hash.includes('bad');

/** A mesh of one route table made of all objects, and an oracle that refuses tables with a text `bad` in them. */
class World {
  readonly engine = createEngine();
  readonly verdicts = this.engine.source<HeldBack>('heldBack');
  readonly objects = new Map<string, MeshObject>();
  readonly log: string[] = [];
  answers = true;
  asked = 0;
  scratches = 0;
  controller: HeldBackController;

  constructor(state: string) {
    const logger = { clock: new TestClock(), levels: new LogLevels(), format: 'text' } as const;
    this.controller = new HeldBackController({
      world: {
        verdicts: this.verdicts,
        object: (ref) => this.objects.get(objectKey(ref)),
        current: () => this.table([]),
        settled: async () => this.engine.settle(),
        openScratch: async () => {
          this.scratches++;
          return { resource: async (tried) => this.table(tried) };
        },
      },
      oracle: {
        version: async () => '1.40.0',
        accepts: async (bootstrap) => {
          this.asked++;
          if (!this.answers) return undefined;
          const accepted = !Buffer.from(bootstrap).includes('bad');
          return { accepted, message: accepted ? '' : "something is bad in 'no such text'" };
        },
        [Symbol.asyncDispose]: async () => {},
      },
      store: new VerdictStore(join(folder, state)),
      clock: new TestClock(Date.UTC(2026, 0, 1)),
      log: createLogger({ ...logger, sink: (line) => this.log.push(line) }),
    });
  }

  table(tried: readonly HeldBack[]): ShapedResource {
    const verdicts = new Map([...this.verdicts.all(), ...tried.map((one) => [objectKey(one), one] as const)]);
    const served = [...this.objects.values()].flatMap((object) => {
      const verdict = verdicts.get(objectKey(object));
      const form = verdict?.refusedHash === object.hash ? verdict.lastGood : object;
      return form === undefined ? [] : [form];
    });
    const name = served.map(({ hash }) => hash).join(' ');
    const bytes = toBinary(RouteConfigurationSchema, create(RouteConfigurationSchema, { name }));
    const typeUrl = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration';
    const causes = [...this.objects.values()].map((object) => ({ ...object, path: 'spec' }));
    return { resource: { typeUrl, name: '80', bytes, version: name }, causes };
  }

  apply(set: readonly MeshObject[], remove: readonly ObjectRef[] = []): void {
    this.controller.applying({ set, remove });
    for (const ref of remove) this.objects.delete(objectKey(ref));
    for (const object of set) this.objects.set(objectKey(object), object);
    this.engine.settle();
  }

  /** The proxy refuses what it gets now, and the alarm is looked into. */
  async nack(): Promise<void> {
    this.controller.refused({ proxyId: 'p', suspects: [this.table([])] });
    await this.controller.idle();
    this.engine.settle();
  }

  held(): readonly string[] {
    return this.controller
      .list()
      .map(({ name, lastGood }) => (lastGood === undefined ? name : `${name}<${lastGood.hash}`));
  }
}

describe('the controller of held-back objects', () => {
  it('holds back what an Envoy refuses, with the last form that it takes, and lets go of what changed', async () => {
    const world = new World('basic');
    world.apply([virtualService('a', 'one'), virtualService('b', 'two')]);
    world.apply([virtualService('a', 'three')]);
    world.apply([virtualService('a', 'bad')]);
    await world.nack();
    deepStrictEqual(world.held(), ['a<three']);
    world.apply([virtualService('a', 'bad'), virtualService('b', 'four')]);
    deepStrictEqual(world.held(), ['a<three']);
    world.apply([virtualService('a', 'worse and bad')]);
    deepStrictEqual(world.held(), []);
    await world.nack();
    deepStrictEqual(world.held(), ['a<three']);
    world.apply([virtualService('a', 'well')]);
    deepStrictEqual(world.held(), []);
  });

  it('falls back to an older form when the one before was bad too', async () => {
    const world = new World('older');
    for (const text of ['fine', 'bad 1', 'bad 2']) world.apply([virtualService('a', text)]);
    await world.nack();
    deepStrictEqual(world.held(), ['a<fine']);
  });

  it('finds several offenders, and forgets objects that are deleted with their good forms', async () => {
    const world = new World('several');
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];
    world.apply(names.map((name) => virtualService(name, ['b', 'h'].includes(name) ? `bad ${name}` : name)));
    await world.nack();
    deepStrictEqual(world.held(), ['b', 'h']);
    const bad = [...world.objects.values()].filter(isBad);
    world.apply([virtualService('b', 'fine')], bad.slice(1));
    world.apply([], [bad[0]!]);
    world.apply(bad);
    await world.nack();
    deepStrictEqual(world.held(), ['b', 'h']);
  });

  it('refuses beforehand what is known to be refused, and keeps the form that was there', () => {
    const world = new World('before');
    world.apply([virtualService('a', 'fine'), virtualService('b', HUGE)]);
    world.apply([virtualService('a', HUGE)]);
    deepStrictEqual(world.held(), ['a<fine', 'b']);
    strictEqual(world.asked, 0);
  });

  it('believes no proxy: what Envoy takes is not held back, and costs no copy of the mesh', async () => {
    const world = new World('hostile');
    world.apply([virtualService('a', 'fine')]);
    for (let i = 0; i < 1000; i++) world.controller.refused({ proxyId: 'p', suspects: [world.table([])] });
    await world.nack();
    deepStrictEqual(world.held(), []);
    deepStrictEqual([world.scratches, world.asked <= 17], [0, true]);
  });

  it('does nothing without an answer', async () => {
    const world = new World('mute');
    world.answers = false;
    world.apply([virtualService('a', 'bad')]);
    await world.nack();
    deepStrictEqual(world.held(), []);
    ok(world.log.some((line) => line.includes('could not be looked into')));
  });

  it('looks into what nobody is to blame for only once', async () => {
    const world = new World('nobody');
    world.apply([virtualService('a', 'bad')]);
    const table = world.table([]);
    world.table = () => table;
    await world.nack();
    const { asked } = world;
    await world.nack();
    deepStrictEqual([world.held(), world.asked, world.scratches], [[], asked, 1]);
    ok(world.log.some((line) => line.includes('no object is to blame')));
  });

  it('saves verdicts, takes them over at the next start, and starts without a broken file', async () => {
    const world = new World('restart');
    world.apply([virtualService('a', 'fine')]);
    world.apply([virtualService('a', 'bad')]);
    await world.nack();
    await world.controller[Symbol.asyncDispose]();
    const file = join(folder, 'restart', 'held-back.json');
    ok(readFileSync(file, 'utf8').includes('"refusedHash": "bad"'));
    const second = new World('restart');
    await second.controller.load();
    second.apply([virtualService('a', 'bad')]);
    deepStrictEqual(second.held(), ['a<fine']);
    deepStrictEqual(
      second.verdicts.all().get('VirtualService/n/a'),
      world.verdicts.all().get('VirtualService/n/a'),
    );
    writeFileSync(file, 'broken');
    const third = new World('restart');
    await third.controller.load();
    third.apply([virtualService('a', 'bad')]);
    deepStrictEqual(third.held(), []);
    ok(third.log.some((line) => line.includes('not known')));
  });

  it('makes no file while nothing is held back', async () => {
    const world = new World('nothing');
    await world.controller.load();
    world.apply([virtualService('a', 'fine')]);
    await world.controller[Symbol.asyncDispose]();
    strictEqual(existsSync(join(folder, 'nothing')), false);
  });
});
