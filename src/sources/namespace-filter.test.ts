import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MeshObject } from '#api/mesh-object.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import { NamespaceFilter } from './namespace-filter.ts';
import type { SourceBatch } from './object-sink.ts';

const ON = [{ matchLabels: { mesh: 'on' } }];

function object(kind: string, place: string, labels: Readonly<Record<string, string>> = {}): MeshObject {
  const [namespace = '', name = ''] = place.split('/');
  const hash = JSON.stringify(labels);
  return { apiVersion: 'v1', kind, namespace, name, labels, annotations: {}, createdAtMs: 0, hash, spec: {} };
}

/** A sink that refuses what sources promise never to send, and knows what it has. */
class Mesh {
  readonly objects = new Map<string, MeshObject>();

  apply({ set, remove }: SourceBatch): void {
    for (const ref of remove) deepStrictEqual(this.objects.delete(objectKey(ref)), true, objectKey(ref));
    for (const one of set) this.objects.set(objectKey(one), one);
  }

  get names(): readonly string[] {
    return [...this.objects.keys()].sort();
  }
}

const batch = (set: readonly MeshObject[], remove: readonly ObjectRef[] = []): SourceBatch => ({
  set,
  remove,
  diagnostics: [],
});

test('objects follow the labels of their namespace, and the selectors', () => {
  const mesh = new Mesh();
  const filter = new NamespaceFilter(mesh, ON);
  const web = object('Service', 'in/web');
  filter.apply(batch([object('Namespace', '/in', { mesh: 'on' }), object('Namespace', '/out'), web]));
  filter.apply(batch([object('Service', 'out/web'), object('Service', 'nowhere/web')]));
  const namespaces = ['Namespace//in', 'Namespace//out'];
  deepStrictEqual(mesh.names, [...namespaces, 'Service/in/web']);
  filter.apply(batch([object('Namespace', '/out', { mesh: 'on' })]));
  deepStrictEqual(mesh.names, [...namespaces, 'Service/in/web', 'Service/out/web']);
  filter.apply(batch([], [object('Namespace', '/in')]));
  deepStrictEqual(mesh.names, ['Namespace//out', 'Service/out/web']);
  filter.select([]);
  deepStrictEqual(mesh.names, ['Namespace//out', 'Service/in/web', 'Service/nowhere/web', 'Service/out/web']);
});

test('whatever happened, the mesh has what a new filter would let through', () => {
  const labels = fc.constantFrom({}, { mesh: 'on' }, { mesh: 'off' });
  const some = fc.oneof(
    fc.tuple(fc.constant('Namespace'), fc.constantFrom('/a', '/b'), labels),
    fc.tuple(fc.constant('Service'), fc.constantFrom('a/x', 'a/y', 'b/x'), labels),
  );
  const event = fc.oneof(
    fc.record({ put: fc.array(some, { maxLength: 3 }) }),
    fc.record({ remove: some }),
    fc.record({ select: fc.constantFrom([], ON, [{ matchLabels: { mesh: 'off' } }]) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 20 }), (events) => {
      const mesh = new Mesh();
      const filter = new NamespaceFilter(mesh, []);
      const all = new Map<string, MeshObject>();
      let selectors: readonly object[] = [];
      for (const one of events) {
        if ('select' in one) filter.select((selectors = one.select));
        else if ('remove' in one) {
          const gone = object(...(one.remove as [string, string, {}]));
          if (all.delete(objectKey(gone))) filter.apply(batch([], [gone]));
        } else {
          const set = [
            ...new Map(
              one.put.map((made) => [`${made[0]}${made[1]}`, object(...(made as [string, string, {}]))]),
            ).values(),
          ];
          for (const made of set) all.set(objectKey(made), made);
          filter.apply(batch(set));
        }
      }
      const fresh = new Mesh();
      new NamespaceFilter(fresh, selectors).apply(batch([...all.values()]));
      const sorted = (meshed: Mesh): unknown => meshed.names.map((name) => meshed.objects.get(name));
      deepStrictEqual(sorted(mesh), sorted(fresh));
    }),
  );
});
