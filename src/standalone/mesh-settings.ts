/** The mesh config of a mesh on one machine: Istio's defaults, with what makes sense here laid over; the user's part goes over that. */
import { defaultMeshConfig, type MeshConfig, mergeMeshConfig } from '#api/mesh-config.ts';

const HTTP_PROXY_PORT = 15080;

/** Access logs go to the workload's log; proxies are small and stop soon, since they are many on one machine. */
export function localMeshDefaults(): MeshConfig {
  return mergeMeshConfig(defaultMeshConfig(), {
    accessLogFile: '/dev/stdout',
    proxyHttpPort: HTTP_PROXY_PORT,
    defaultConfig: { concurrency: 1, terminationDrainDuration: '1s' },
  });
}

/** Port of each proxy's HTTP proxy listener. */
export function httpProxyPortOf(config: MeshConfig): number {
  return config.proxyHttpPort ?? HTTP_PROXY_PORT;
}
