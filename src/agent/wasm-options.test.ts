import { deepStrictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readWasmOptions, type WasmOptions } from './wasm-options.ts';

function read(environment: Readonly<Record<string, string>>): readonly [WasmOptions | undefined, string[]] {
  const problems: string[] = [];
  const options = readWasmOptions({
    text: (name) => environment[name],
    problem: (name) => problems.push(name),
  });
  return [options, problems];
}

describe('options of WebAssembly modules', () => {
  it("have Istio's defaults", () => {
    deepStrictEqual(read({}), [
      {
        folder: './var/lib/istio/data',
        limits: {
          guard: { allowed: [], blocked: [] },
          maxBytes: 268_435_456,
          insecureHosts: new Set(),
          requestTimeoutMs: 15_000,
          maxAttempts: 5,
        },
        purgeIntervalMs: 3_600_000,
        moduleExpiryMs: 86_400_000,
        dockerConfigPath: undefined,
      },
      [],
    ]);
  });

  it('are read from variables, and what cannot be used is named', () => {
    const [options, problems] = read({
      WASM_INSECURE_REGISTRIES: 'localhost:5000, *',
      WASM_HTTP_REQUEST_TIMEOUT: '2s',
      WASM_HTTP_REQUEST_MAX_RETRIES: 'many',
      WASM_MODULE_EXPIRY: '-1s',
      BLOCKED_CIDRS_IN_WASM_FETCH: '10.0.0.0/8,nonsense',
      DOCKER_CONFIG: '/root/.docker',
    });
    deepStrictEqual(
      [
        [...(options?.limits.insecureHosts ?? [])],
        options?.limits.requestTimeoutMs,
        options?.limits.maxAttempts,
        options?.moduleExpiryMs,
        options?.limits.guard.blocked.length,
        options?.dockerConfigPath,
        problems,
      ],
      [
        ['localhost:5000', '*'],
        2_000,
        5,
        86_400_000,
        1,
        '/root/.docker/config.json',
        ['BLOCKED_CIDRS_IN_WASM_FETCH', 'WASM_HTTP_REQUEST_MAX_RETRIES', 'WASM_MODULE_EXPIRY'],
      ],
    );
  });

  it('may switch it all off', () => {
    deepStrictEqual(read({ ISTIO_AGENT_ENABLE_WASM_REMOTE_LOAD_CONVERSION: 'false' })[0], undefined);
  });
});
