/** The HTTP doors of pilot-discovery: health and debug, and metrics. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { DiscoveryFlags } from './discovery-flags.ts';
import { parseAddress } from './discovery-flags.ts';
import type { Mesh } from './mesh.ts';
import type { XdsDoor } from './xds-door.ts';

export interface DiscoveryDoorOptions {
  readonly flags: DiscoveryFlags;
  readonly mesh: Mesh;
  readonly door: XdsDoor;
  readonly isReady: () => boolean;
}

export async function openDiscoveryDoors(options: DiscoveryDoorOptions): Promise<AsyncDisposable> {
  const servers: Server[] = [];
  for (const flag of [options.flags.httpAddr, options.flags.monitoringAddr]) {
    const address = parseAddress(flag);
    if (address === undefined) continue;
    const server = createServer((request, response) => answer(options, request.url ?? '/', response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(address.port, address.host, resolve);
    });
    servers.push(server);
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const server of servers) server.closeAllConnections();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

function answer(options: DiscoveryDoorOptions, url: string, response: ServerResponse): void {
  if (url.startsWith('/ready')) {
    response.statusCode = options.isReady() ? 200 : 503;
    response.end();
    return;
  }
  response.statusCode = 404;
  response.end();
}
