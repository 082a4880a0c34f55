/** The mesh config of a mesh on one machine: Istio's defaults, with what makes sense here laid over, and the user's part over that. */
import { defaultMeshConfig, type MeshConfig, mergeMeshConfig, parseMeshConfig } from '#api/mesh-config.ts';
import type { Diagnostic } from '#base/diagnostic.ts';

const HTTP_PROXY_PORT = 15080;

/** Access logs go to the workload's log; proxies are small and stop soon, since they are many on one machine. */
function localDefaults(): MeshConfig {
  return mergeMeshConfig(defaultMeshConfig(), {
    accessLogFile: '/dev/stdout',
    proxyHttpPort: HTTP_PROXY_PORT,
    defaultConfig: { concurrency: 1, terminationDrainDuration: '1s' },
  });
}

/** Reads the user's part, a plain value from YAML; undefined for none. */
export function localMeshConfig(part: unknown): {
  readonly config: MeshConfig;
  readonly diagnostics: readonly Diagnostic[];
} {
  return parseMeshConfig(part, localDefaults());
}

/** Port of each proxy's HTTP proxy listener. */
export function httpProxyPortOf(config: MeshConfig): number {
  return config.proxyHttpPort ?? HTTP_PROXY_PORT;
}
