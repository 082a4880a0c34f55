/**
 * Makes responses with Wasm configurations fit for Envoy: modules that are elsewhere are fetched, and their configurations name
 * files instead. One that cannot be had is replaced by what its failure policy says, alone: the rest of the response and
 * all other types go on. A response without remote modules stays as it is, byte for byte.
 * Source: istio pkg/istio-agent/xds_proxy_delta.go deltaRewriteAndForward, pkg/wasm/convert.go.
 */
import type { Transform } from 'node:stream';
import { FrameRewriter } from './frame-rewriter.ts';
import { mapFieldAt } from './message-edit.ts';
import type { WasmCache } from './wasm-cache.ts';
import { type RemoteWasm, readRemoteWasm, standInFor, withLocalModule } from './wasm-config.ts';
import type { AgentParts } from './workload-certificate.ts';

const EXTENSION_TYPE = 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig';
/** Modules fetched at once for one response: each lies in memory until it is in its file. */
const MAX_CONCURRENT = 4;

/** Where in a message the configurations lie: in Any, or in a delta Resource with an Any within. */
type Protocol = 'delta' | 'sotw';

export class WasmResponses {
  readonly #cache: WasmCache;
  readonly #parts: AgentParts;

  constructor(cache: WasmCache, parts: AgentParts) {
    this.#cache = cache;
    this.#parts = parts;
  }

  /** A stage for the responses of one stream. */
  rewriter(protocol: Protocol): Transform {
    return new FrameRewriter(EXTENSION_TYPE, (message) => this.#rewrite(message, protocol));
  }

  async #rewrite(message: Buffer, protocol: Protocol): Promise<Uint8Array> {
    const { clock, log, metrics } = this.#parts;
    const startedMs = clock.monotonicMs();
    try {
      const configs = configsOf(message, protocol);
      const remotes = configs.map((config) => readRemoteWasm(config));
      if (remotes.every((remote) => remote === undefined)) {
        for (const _ of configs) this.#count('no_remote_load');
        return message;
      }
      const replaced: Uint8Array[] = [];
      for (let at = 0; at < configs.length; at += MAX_CONCURRENT) {
        const group = configs.slice(at, at + MAX_CONCURRENT);
        replaced.push(
          ...(await Promise.all(group.map((config, i) => this.#localized(config, remotes[at + i])))),
        );
      }
      metrics.observe('istio_agent_wasm_config_conversion_duration', clock.monotonicMs() - startedMs);
      return withConfigs(message, protocol, replaced);
    } catch (error) {
      // Envoy says what is wrong with a message that cannot be read.
      this.#count('unmarshal_failure');
      log.warn('a response with extension configurations could not be read', { error });
      return message;
    }
  }

  async #localized(config: Uint8Array, remote: RemoteWasm | undefined): Promise<Uint8Array> {
    if (remote === undefined) {
      this.#count('no_remote_load');
      return config;
    }
    const { name, request, lacksSecret, isOpen } = remote;
    try {
      if (lacksSecret)
        throw new Error('its pull secret is not there, or not of type kubernetes.io/dockerconfigjson');
      const path = await this.#cache.get(request);
      this.#count('success');
      return withLocalModule(config, path);
    } catch (error) {
      this.#count('fetch_failure');
      this.#parts.log.error('a WebAssembly module cannot be had', {
        extension: name,
        url: request.url,
        reason: error instanceof Error ? error.message : String(error),
        meanwhile: isOpen ? 'its traffic passes' : 'its traffic is refused',
      });
      return standInFor(remote);
    }
  }

  #count(result: 'success' | 'no_remote_load' | 'unmarshal_failure' | 'fetch_failure'): void {
    this.#parts.metrics.add(`istio_agent_wasm_config_conversion_count{result="${result}"}`);
  }
}

/** DiscoveryResponse.resources, Any.value; or DeltaDiscoveryResponse.resources, Resource.resource, Any.value. */
const PLACES: Readonly<Record<Protocol, readonly number[]>> = { sotw: [2, 2], delta: [2, 2, 2] };

/** The TypedExtensionConfigs of a response, in order. Errors: WireError. */
function configsOf(message: Uint8Array, protocol: Protocol): readonly Uint8Array[] {
  const configs: Uint8Array[] = [];
  mapFieldAt(message, PLACES[protocol], (config) => {
    configs.push(config);
    return config;
  });
  return configs;
}

/** The response with other configurations in the same places. */
function withConfigs(message: Uint8Array, protocol: Protocol, configs: readonly Uint8Array[]): Uint8Array {
  let index = 0;
  return mapFieldAt(message, PLACES[protocol], () => configs[index++] ?? new Uint8Array());
}
