/** EnvoyFilters on listeners and what is in them, at a real Envoy: whole listeners, chains, filters of connections, route tables. */
import { deepStrictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { openSidecarRig, type SidecarRig } from './sidecar-rig.ts';
import { callHttp, startHttpApp, type TestApp } from './test-apps.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions.filters';
let rig: SidecarRig;
let app: TestApp;
let named: Server;

before(async () => {
  rig = await openSidecarRig();
  app = await startHttpApp(rig.own);
  named = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end('application');
  });
  named.listen(0, rig.own);
  await once(named, 'listening');
});

after(async () => {
  named.close();
  await app.close();
  await rig[Symbol.asyncDispose]();
});

const says = (text: string): object => ({
  name: 'envoy.filters.network.direct_response',
  typed_config: {
    '@type': `${EXTENSIONS}.network.direct_response.v3.Config`,
    response: { inline_string: text },
  },
});

const patch = (applyTo: string, operation: string, listener: object, value: object): object => ({
  applyTo,
  match: { context: 'SIDECAR_OUTBOUND', listener },
  patch: { operation, value },
});

function service(name: string, port: number, protocol: string, to: number): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'default' },
    spec: {
      hosts: [`${name}.test`],
      resolution: 'STATIC',
      ports: [{ name: 'main', number: port, protocol }],
      endpoints: [{ address: rig.own, ports: { main: to } }],
    },
  };
}

/** All that a connection is told. */
async function told(port: number, { from, first }: { from?: string; first?: string } = {}): Promise<string> {
  const socket = connect({ port, host: rig.address, ...(from === undefined ? {} : { localAddress: from }) });
  if (first !== undefined) socket.write(first);
  return text(socket);
}

test('listeners, chains, filters and route tables are added, replaced and merged with', async () => {
  const [added, chain, replaced, filtered, http] = await Promise.all(
    Array.from({ length: 5 }, () => rig.port()),
  );
  const to = (named.address() as AddressInfo).port;
  const PROXY = { name: 'envoy.filters.listener.proxy_protocol' };
  const documents = [
    service('chain', chain!, 'TCP', to),
    service('replaced', replaced!, 'TCP', to),
    service('filtered', filtered!, 'TCP', to),
    service('web', http!, 'HTTP', app.port),
    {
      apiVersion: 'networking.istio.io/v1alpha3',
      kind: 'EnvoyFilter',
      metadata: { name: 'all', namespace: 'default' },
      spec: {
        configPatches: [
          patch(
            'LISTENER',
            'ADD',
            {},
            {
              name: 'added',
              address: { socket_address: { address: rig.address, port_value: added } },
              filter_chains: [{ filters: [says('added')] }],
            },
          ),
          patch(
            'FILTER_CHAIN',
            'ADD',
            { portNumber: chain },
            {
              name: 'for-some',
              filter_chain_match: {
                source_prefix_ranges: [{ address_prefix: '127.88.0.0', prefix_len: 16 }],
              },
              filters: [says('chain')],
            },
          ),
          patch(
            'NETWORK_FILTER',
            'REPLACE',
            { portNumber: replaced, filterChain: { filter: { name: 'envoy.filters.network.tcp_proxy' } } },
            says('replaced'),
          ),
          patch(
            'LISTENER_FILTER',
            'INSERT_FIRST',
            { portNumber: filtered },
            {
              ...PROXY,
              typed_config: { '@type': `${EXTENSIONS}.listener.proxy_protocol.v3.ProxyProtocol` },
            },
          ),
          {
            applyTo: 'ROUTE_CONFIGURATION',
            match: { context: 'SIDECAR_OUTBOUND' },
            patch: {
              operation: 'MERGE',
              value: { response_headers_to_add: [{ header: { key: 'x-table', value: 'merged' } }] },
            },
          },
          {
            applyTo: 'HTTP_FILTER',
            match: {
              context: 'SIDECAR_OUTBOUND',
              listener: {
                filterChain: {
                  filter: {
                    name: 'envoy.filters.network.http_connection_manager',
                    subFilter: { name: 'envoy.filters.http.fault' },
                  },
                },
              },
            },
            patch: { operation: 'REMOVE' },
          },
        ],
      },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        hosts: ['web.test'],
        http: [
          {
            fault: { abort: { httpStatus: 418, percentage: { value: 100 } } },
            route: [{ destination: { host: 'web.test' } }],
          },
        ],
      },
    },
  ];
  await rig.serve(documents.map((document) => JSON.stringify(document)).join('\n---\n'));
  deepStrictEqual(
    await Promise.all([
      told(added!),
      told(chain!),
      told(chain!, { from: '127.88.0.1' }),
      told(replaced!),
      told(filtered!, { first: 'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n' }),
    ]),
    ['added', 'application', 'chain', 'replaced', 'application'],
  );
  const host = `web.test:${http}`;
  const { status, headers } = await callHttp({ address: rig.own, port: rig.proxyPort, headers: { host } });
  // Without the filter for faults there are none.
  deepStrictEqual([status, headers['x-table']], [200, 'merged']);
});
