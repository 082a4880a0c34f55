/** The namespaces of a cluster that belong to the mesh: those that discoverySelectors of mesh config let in, followed live. */
import { Scope } from '#base/disposable.ts';
import type { MeshNamespaces } from '#controllers/trust-config-maps.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { isNamespaceSelected } from '#sources/object-selection.ts';
import type { Mesh } from './mesh.ts';

export function meshNamespaces(mesh: Mesh): MeshNamespaces {
  const namespaces = mesh.objects.of('Namespace');
  const names = (): Iterable<string> => Array.from(namespaces.all().values(), ({ name }) => name);
  return {
    all: names,
    has(name) {
      const namespace = namespaces.get(`/${name}`);
      const { discoverySelectors = [] } = mesh.meshConfig.get(MESH_KEY) ?? {};
      return namespace !== undefined && isNamespaceSelected(discoverySelectors, namespace.labels);
    },
    watch(changed) {
      const scope = new Scope();
      const tell = (changes: readonly { readonly key: string }[]): void =>
        changed(changes.map(({ key }) => key.slice(1)));
      scope.add(mesh.engine.watch(namespaces, tell));
      scope.add(mesh.engine.watch(mesh.meshConfig, () => changed(names())));
      return scope;
    },
  };
}
