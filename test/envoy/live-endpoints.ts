/** Applications behind a live sidecar: each says its name, and does what its test wants besides. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One endpoint of a service. */
export interface LiveEndpoint {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly served: readonly IncomingMessage['headers'][];
  close(): Promise<void>;
}

export type Answerer = (incoming: IncomingMessage, answer: ServerResponse) => void;

/** Starts an endpoint at a port of its own; it answers with its name unless told otherwise. */
export async function startEndpoint(
  name: string,
  answerer: Answerer = (_incoming, answer) => void answer.end(name),
  at = '127.0.0.1',
): Promise<LiveEndpoint> {
  const served: IncomingMessage['headers'][] = [];
  const server: Server = createServer((incoming, answer) => {
    incoming.resume();
    served.push(incoming.headers);
    answerer(incoming, answer);
  });
  server.listen(0, at);
  await once(server, 'listening');
  const { address, port } = server.address() as AddressInfo;
  return {
    name,
    address,
    port,
    served,
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A ServiceEntry for a host with these endpoints; `extra` goes into each endpoint's line. */
export function entryFor(
  host: string,
  endpoints: readonly LiveEndpoint[],
  extra: (endpoint: LiveEndpoint, i: number) => string = () => '',
): string {
  const lines = endpoints.map(
    (endpoint, i) =>
      `  - {address: ${endpoint.address}, ports: {http: ${endpoint.port}}${extra(endpoint, i)}}`,
  );
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.replaceAll('.', '-')}}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
${lines.join('\n')}
`;
}

/** A DestinationRule for a host with this traffic policy, in YAML's flow style. */
export function ruleFor(host: string, trafficPolicy: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host.replaceAll('.', '-')}}
spec:
  host: ${host}
  trafficPolicy: ${trafficPolicy}
`;
}
