/** The roots in every namespace of the mesh: kept by the leader, whatever others do to them. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import type { KubeObject } from '#kube/api-resource.ts';
import { ApiServerFixture } from '#kube/api-server-fixture.ts';
import { KubeClient } from '#kube/kube-client.ts';
import { TrustConfigMaps } from './trust-config-maps.ts';

const MAPS = { group: '', plural: 'configmaps' };
const NAME = 'istio-ca-root-cert';

/** Something that is watched, with calls that tell. */
class Told {
  readonly #watchers = new Set<(names: Iterable<string>) => void>();

  watch(changed: (names: Iterable<string>) => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  tell(names: Iterable<string> = []): void {
    for (const changed of this.#watchers) changed(names);
  }
}

class Namespaces extends Told {
  readonly names: Set<string>;

  constructor(names: readonly string[]) {
    super();
    this.names = new Set(names);
  }

  all(): Iterable<string> {
    return this.names;
  }

  has(name: string): boolean {
    return this.names.has(name);
  }
}

class Roots extends Told {
  rootsPem = 'root 1';
}

class Vote extends Told {
  isLeader = true;
}

async function openRig(names: readonly string[]) {
  const server = new ApiServerFixture();
  await server.start();
  const client = new KubeClient(server.target, { clock: systemClock(), env: {}, userAgent: 'test' });
  const namespaces = new Namespaces(names);
  const roots = new Roots();
  const leadership = new Vote();
  const text = (namespace: string): string => {
    const data = server.get(MAPS, `${namespace}/${NAME}`)?.['data'] as KubeObject['metadata'] | undefined;
    return String(data?.['root-cert.pem'] ?? '');
  };
  const controller = new TrustConfigMaps({
    client,
    leadership,
    namespaces,
    content: { key: 'root-cert.pem', text: () => roots.rootsPem, watch: (changed) => roots.watch(changed) },
    name: NAME,
    clock: systemClock(),
    rng: seededRng(1),
    log: silentLogger(),
  });
  return {
    server,
    namespaces,
    roots,
    leadership,
    text,
    /** Waits until these namespaces have these roots. */
    has: (wanted: Readonly<Record<string, string>>) =>
      server.until(() => Object.entries(wanted).every(([namespace, pem]) => text(namespace) === pem)),
    async [Symbol.asyncDispose]() {
      controller[Symbol.dispose]();
      client[Symbol.dispose]();
      await server.stop();
    },
  };
}

test('every namespace of the mesh has the roots, those of Kubernetes but for kube-system have not', async () => {
  const names = Array.from({ length: 30 }, (_, i) => `n${i}`);
  await using rig = await openRig([...names, 'kube-system', 'kube-public', 'kube-node-lease']);
  await rig.has(Object.fromEntries([...names, 'kube-system'].map((name) => [name, 'root 1'])));
  deepStrictEqual([rig.text('kube-public'), rig.text('kube-node-lease')], ['', '']);
  deepStrictEqual(rig.server.get(MAPS, `n0/${NAME}`)?.metadata['labels'], { 'istio.io/config': 'true' });
});

test('what is deleted comes back, what is edited is put right, and what others keep there stays', async () => {
  await using rig = await openRig(['a', 'b']);
  await rig.has({ a: 'root 1', b: 'root 1' });
  rig.server.remove(MAPS, `a/${NAME}`);
  await rig.has({ a: 'root 1' });
  const metadata = { namespace: 'b', name: NAME, annotations: { mine: 'x' } };
  rig.server.put(MAPS, { metadata, data: { 'root-cert.pem': 'else', mine: 'stays' } });
  await rig.has({ b: 'root 1' });
  const { metadata: kept, data } = rig.server.get(MAPS, `b/${NAME}`) as KubeObject;
  deepStrictEqual([kept['annotations'], data], [{ mine: 'x' }, { 'root-cert.pem': 'root 1', mine: 'stays' }]);
});

test('other roots and namespaces that come are written; a namespace that leaves the mesh is left alone', async () => {
  await using rig = await openRig(['a', 'b']);
  await rig.has({ a: 'root 1', b: 'root 1' });
  rig.namespaces.names.delete('b');
  rig.namespaces.names.add('c');
  rig.namespaces.tell(['b', 'c']);
  rig.roots.rootsPem = 'root 2';
  rig.roots.tell();
  await rig.has({ a: 'root 2', c: 'root 2' });
  strictEqual(rig.text('b'), 'root 1');
});

test('whoever does not lead writes nothing, and starts when it leads', async () => {
  await using rig = await openRig(['a']);
  await rig.has({ a: 'root 1' });
  rig.leadership.isLeader = false;
  rig.leadership.tell();
  rig.server.remove(MAPS, `a/${NAME}`);
  rig.roots.rootsPem = 'root 2';
  rig.roots.tell();
  await rig.server.until(() => rig.server.watches.length === 0);
  strictEqual(rig.text('a'), '');
  rig.leadership.isLeader = true;
  rig.leadership.tell();
  await rig.has({ a: 'root 2' });
});

test('one namespace that may not be written to harms no other', async () => {
  await using rig = await openRig(['a', 'b']);
  await rig.has({ a: 'root 1', b: 'root 1' });
  await rig.server.until(() => rig.server.watches.length === 1);
  rig.server.forbidden.add('configmaps');
  rig.roots.rootsPem = 'root 2';
  rig.roots.tell();
  const before = rig.server.requests.length;
  await rig.server.until(() => rig.server.requests.length > before);
  rig.server.forbidden.clear();
  rig.namespaces.names.add('c');
  rig.namespaces.tell(['c', 'a', 'b']);
  await rig.has({ a: 'root 2', b: 'root 2', c: 'root 2' });
});

test('a namespace costs the writing of its own ConfigMap and nothing else', async () => {
  await using rig = await openRig(['a', 'b', 'c']);
  await rig.has({ a: 'root 1', b: 'root 1', c: 'root 1' });
  await rig.server.until(() => rig.server.watches.length === 1);
  const before = rig.server.requests.length;
  rig.namespaces.names.add('d');
  rig.namespaces.tell(['d']);
  await rig.has({ d: 'root 1' });
  deepStrictEqual(rig.server.requests.slice(before), ['/api/v1/namespaces/d/configmaps']);
});

test('where there is nothing to write no ConfigMap is made, and one that there is is emptied', async () => {
  await using rig = await openRig(['a']);
  await rig.has({ a: 'root 1' });
  rig.roots.rootsPem = '';
  rig.roots.tell();
  await rig.has({ a: '' });
  const { data } = rig.server.get(MAPS, `a/${NAME}`) as KubeObject;
  deepStrictEqual(data, { 'root-cert.pem': '' });
  const before = rig.server.requests.length;
  rig.namespaces.names.add('b');
  rig.namespaces.tell(['b']);
  rig.roots.rootsPem = 'root 2';
  rig.roots.tell();
  await rig.has({ a: 'root 2', b: 'root 2' });
  const made = rig.server.requests.slice(before).filter((path) => path.includes('/b/'));
  deepStrictEqual(made, ['/api/v1/namespaces/b/configmaps']);
});
