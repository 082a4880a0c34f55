/**
 * Mesh config and mesh networks of pilot-discovery, from where Istio's istiod takes them: the files of --meshConfig and
 * --networksConfig where they exist at the start, else the ConfigMap `istio` (`istio-REVISION`) of the control plane's namespace; under
 * both the ConfigMap that SHARED_MESH_CONFIG names. Followed live; what cannot be used is logged and changes nothing.
 * Source: istio pilot/pkg/bootstrap/mesh.go.
 */
import { existsSync } from 'node:fs';
import type { ConfigMapSpec } from '#api/config-map.ts';
import type { MeshConfig } from '#api/mesh-config.ts';
import type { Clock } from '#base/clock.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import type { Logger } from '#base/logger.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { MeshConfigLayers, MeshNetworksText } from '#sources/mesh-config-layers.ts';
import { WatchedFile } from '#sources/watched-file.ts';
import type { Mesh } from './mesh.ts';

const CONFIG_MAP = 'istio';
const CONFIG_KEY = 'mesh';
const NETWORKS_KEY = 'meshNetworks';

export interface MeshSettingsOptions {
  readonly meshConfigFile: string;
  readonly networksFile: string;
  /** Namespace of the control plane, where its ConfigMaps are. */
  readonly namespace: string;
  readonly revision: string;
  /** Name of the shared ConfigMap; '' for none. */
  readonly sharedConfigMap: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Opened before the mesh, since its first config comes from here; `follow` connects the two. */
export class MeshSettings implements Disposable {
  readonly #options: MeshSettingsOptions;
  readonly #layers = new MeshConfigLayers();
  readonly #networks = new MeshNetworksText();
  readonly #configFile: WatchedFile | undefined;
  readonly #networksFile: WatchedFile | undefined;
  /** Texts of ConfigMaps as they were last taken, so that each is told once. */
  readonly #taken = new Map<string, string | undefined>();
  #watch: Disposable | undefined;
  #onChange: () => void = () => {};

  constructor(options: MeshSettingsOptions) {
    this.#options = options;
    const { meshConfigFile, networksFile } = options;
    this.#configFile = this.#open(meshConfigFile, (text) => this.#layers.set('own', text, meshConfigFile));
    this.#networksFile = this.#open(networksFile, (text) => this.#networks.set(text, networksFile));
  }

  /** What is in force. */
  get config(): MeshConfig {
    return this.#layers.config;
  }

  /** Keeps the mesh up to date from now on; with `readsConfigMaps` from its ConfigMaps too. */
  follow(mesh: Mesh, readsConfigMaps: boolean, onConfig: (config: MeshConfig) => void): void {
    let config = this.config;
    this.#onChange = () => {
      mesh.meshNetworks.set(MESH_KEY, this.#networks.networks);
      mesh.meshConfig.set(MESH_KEY, this.config);
      mesh.driver.poke();
      if (this.config === config) return;
      if (this.config.trustDomain !== config.trustDomain) {
        this.#options.log.warn('the certificate authority keeps its trust domain until the next start');
      }
      config = this.config;
      this.#options.log.info('mesh config changed');
      onConfig(config);
    };
    mesh.meshNetworks.set(MESH_KEY, this.#networks.networks);
    if (!readsConfigMaps) return;
    const maps = mesh.objects.of<ConfigMapSpec>('ConfigMap');
    const dataOf = (name: string): ConfigMapSpec['data'] | undefined =>
      maps.get(`${this.#options.namespace}/${name}`)?.spec.data;
    this.#watch = mesh.engine.watch(maps, () => this.#readConfigMaps(dataOf));
  }

  [Symbol.dispose](): void {
    this.#configFile?.[Symbol.dispose]();
    this.#networksFile?.[Symbol.dispose]();
    this.#watch?.[Symbol.dispose]();
  }

  #open(path: string, take: (text: string | undefined) => readonly Diagnostic[]): WatchedFile | undefined {
    if (path === '' || !existsSync(path)) return undefined;
    const file = new WatchedFile(path, this.#options.clock, (text) => {
      this.#tell(take(text));
      this.#onChange();
    });
    this.#tell(take(file.text));
    return file;
  }

  #readConfigMaps(dataOf: (name: string) => ConfigMapSpec['data'] | undefined): void {
    const { revision, sharedConfigMap, namespace } = this.#options;
    const own = revision === '' || revision === 'default' ? CONFIG_MAP : `${CONFIG_MAP}-${revision}`;
    const place = (name: string, key: string): string => `ConfigMap ${namespace}/${name}, ${key}`;
    const layers = this.#layers;
    if (sharedConfigMap !== '') {
      const name = place(sharedConfigMap, CONFIG_KEY);
      this.#take(name, dataOf(sharedConfigMap)?.[CONFIG_KEY], (text) => layers.set('shared', text, name));
    }
    if (this.#configFile === undefined) {
      const name = place(own, CONFIG_KEY);
      this.#take(name, dataOf(own)?.[CONFIG_KEY], (text) => layers.set('own', text, name));
    }
    if (this.#networksFile === undefined) {
      // Istio takes the shared networks where there are any.
      const shared = sharedConfigMap === '' ? undefined : dataOf(sharedConfigMap)?.[NETWORKS_KEY];
      const name = place(shared === undefined ? own : sharedConfigMap, NETWORKS_KEY);
      this.#take(NETWORKS_KEY, shared ?? dataOf(own)?.[NETWORKS_KEY], (text) =>
        this.#networks.set(text, name),
      );
    }
    this.#onChange();
  }

  #take(
    what: string,
    text: string | undefined,
    take: (text: string | undefined) => readonly Diagnostic[],
  ): void {
    if (this.#taken.get(what) === text) return;
    this.#taken.set(what, text);
    this.#tell(take(text));
  }

  #tell(diagnostics: readonly Diagnostic[]): void {
    for (const diagnostic of diagnostics) this.#options.log.warn(printDiagnostic(diagnostic));
  }
}
