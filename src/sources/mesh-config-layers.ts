/**
 * Mesh config and mesh networks out of their texts: Istio's defaults, a shared text over them, the mesh's own over both. A text
 * that cannot be used is told, and what was last good of it stays in force. No I/O: who reads the texts calls `set`.
 * Source: istio pilot/pkg/bootstrap/mesh.go, pkg/config/mesh/meshwatcher.
 */
import { defaultMeshConfig, type MeshConfig, parseMeshConfig } from '#api/mesh-config.ts';
import { type MeshNetworks, NO_NETWORKS, parseMeshNetworks } from '#api/mesh-networks.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import { placeDiagnostics } from '#api/yaml-position.ts';
import { deepEqual } from '#base/deep-equal.ts';
import type { Diagnostic } from '#base/diagnostic.ts';

/** `shared`: the ConfigMap that SHARED_MESH_CONFIG names. `own`: the file, or the ConfigMap of the control plane. */
export type MeshConfigLayer = 'shared' | 'own';

const ORDER: readonly MeshConfigLayer[] = ['shared', 'own'];
/** A field that this version does not know must not cost the fields that it does: newer and older configs work. */
const UNKNOWN_FIELD = 'LTN1002';

/** Layers in, one mesh config out. */
export class MeshConfigLayers {
  readonly #base: MeshConfig;
  /** What was last good, as values. */
  readonly #values = new Map<MeshConfigLayer, unknown>();
  #config: MeshConfig;

  constructor(base: MeshConfig = defaultMeshConfig()) {
    this.#base = base;
    this.#config = base;
  }

  /** What is in force; the same object until something changes. */
  get config(): MeshConfig {
    return this.#config;
  }

  /** Takes a layer's text, undefined for none; `name` is where it stands, for findings. */
  set(layer: MeshConfigLayer, text: string | undefined, name: string): readonly Diagnostic[] {
    return readText(text, name, (value) => {
      const values = new Map(this.#values).set(layer, value);
      let config = this.#base;
      let own: readonly Diagnostic[] = [];
      for (const each of ORDER) {
        const read = parseMeshConfig(values.get(each), config);
        // A layer that was good alone may clash with another: that too is said of the one that came last.
        if (each === layer || read.diagnostics.some(forbids)) own = [...own, ...read.diagnostics];
        config = read.config;
      }
      if (own.some(forbids)) return own;
      this.#values.set(layer, value);
      if (!deepEqual(config, this.#config)) this.#config = config;
      return own;
    });
  }
}

/** Mesh networks out of their text, the last good ones. */
export class MeshNetworksText {
  #networks: MeshNetworks = NO_NETWORKS;

  get networks(): MeshNetworks {
    return this.#networks;
  }

  /** Takes the text, undefined for none. */
  set(text: string | undefined, name: string): readonly Diagnostic[] {
    return readText(text, name, (value) => {
      const { networks, diagnostics } = parseMeshNetworks(value);
      if (networks !== undefined) this.#networks = networks;
      return diagnostics;
    });
  }
}

/** Hands the one document of a text on; the findings come back with their places in it. */
function readText(
  text: string | undefined,
  name: string,
  take: (value: unknown) => readonly Diagnostic[],
): readonly Diagnostic[] {
  const [document] = text === undefined ? [] : parseDocuments(text, name);
  if (document?.diagnostic !== undefined) return [document.diagnostic];
  const found = take(document?.value);
  return text === undefined ? found : placeDiagnostics(found, text, 0, name);
}

function forbids({ severity, code }: Diagnostic): boolean {
  return severity === 'error' && code !== UNKNOWN_FIELD;
}
