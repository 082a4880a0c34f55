/**
 * What the agent is told about WebAssembly modules: Istio's variables and defaults. Addresses of this machine are refused unless
 * they are listed, since Envoy's admin and the agent's own doors are there; a mesh on one machine lists them.
 * Source: istio pilot/cmd/pilot-agent/options/options.go, pilot/pkg/features/pilot.go, pkg/wasm/options.go.
 */
import { type Cidr, parseCidr } from '#base/cidr.ts';
import { parseDurationMs } from '#base/duration.ts';
import type { WasmFetchLimits } from './wasm-download.ts';

/** How modules are fetched and kept. */
export interface WasmOptions {
  readonly folder: string;
  readonly limits: WasmFetchLimits;
  readonly purgeIntervalMs: number;
  readonly moduleExpiryMs: number;
  /** A Docker configuration for plugins without a pull secret; undefined: none. */
  readonly dockerConfigPath: string | undefined;
}

/** Where options come from. */
export interface WasmOptionSources {
  text(name: string): string | undefined;
  /** Notes a variable that could not be used. */
  problem(name: string): void;
}

const HOUR_MS = 3_600_000;
const MAX_BINARY_BYTES = 256 << 20;

/** Undefined when the agent is to leave Wasm configurations alone. */
export function readWasmOptions(sources: WasmOptionSources): WasmOptions | undefined {
  if (sources.text('ISTIO_AGENT_ENABLE_WASM_REMOTE_LOAD_CONVERSION') === 'false') return undefined;
  const reader = new WasmOptionReader(sources);
  const dockerConfig = sources.text('DOCKER_CONFIG');
  return {
    folder: sources.text('LATEEN_WASM_FOLDER') ?? './var/lib/istio/data',
    limits: {
      guard: {
        allowed: reader.blocks('LATEEN_ALLOWED_CIDRS_IN_WASM_FETCH'),
        blocked: reader.blocks('BLOCKED_CIDRS_IN_WASM_FETCH'),
      },
      maxBytes: reader.count('ISTIO_WASM_MAX_BINARY_SIZE_BYTES', MAX_BINARY_BYTES),
      insecureHosts: new Set(reader.list('WASM_INSECURE_REGISTRIES')),
      requestTimeoutMs: reader.durationMs('WASM_HTTP_REQUEST_TIMEOUT', 15_000),
      maxAttempts: reader.count('WASM_HTTP_REQUEST_MAX_RETRIES', 5),
    },
    purgeIntervalMs: reader.durationMs('WASM_PURGE_INTERVAL', HOUR_MS),
    moduleExpiryMs: reader.durationMs('WASM_MODULE_EXPIRY', 24 * HOUR_MS),
    dockerConfigPath: dockerConfig === undefined ? undefined : `${dockerConfig}/config.json`,
  };
}

class WasmOptionReader {
  readonly #sources: WasmOptionSources;

  constructor(sources: WasmOptionSources) {
    this.#sources = sources;
  }

  list(name: string): readonly string[] {
    const items = (this.#sources.text(name) ?? '').split(',').map((item) => item.trim());
    return items.filter((item) => item !== '');
  }

  count(name: string, fallback: number): number {
    const text = this.#sources.text(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (Number.isSafeInteger(value) && value > 0) return value;
    this.#sources.problem(name);
    return fallback;
  }

  durationMs(name: string, fallbackMs: number): number {
    const text = this.#sources.text(name);
    if (text === undefined) return fallbackMs;
    const parsed = parseDurationMs(text);
    if (parsed.ok && parsed.value > 0) return parsed.value;
    this.#sources.problem(name);
    return fallbackMs;
  }

  blocks(name: string): readonly Cidr[] {
    return this.list(name).flatMap((text) => {
      const block = parseCidr(text);
      if (block.ok) return [block.value];
      this.#sources.problem(name);
      return [];
    });
  }
}
