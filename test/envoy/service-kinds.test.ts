/** Services of Kubernetes and ServiceEntries of every kind by traffic through a real Envoy: names, who is an endpoint, which one is near. */
import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo } from 'node:net';
import { createServer as createTlsServer, connect as connectTls } from 'node:tls';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { type LiveEndpoint, startEndpoint } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';
import { NameServer } from './name-server.ts';
import { startHttp2App, startHttpApp, type TestApp } from './test-apps.ts';

const NODE = 'node-1';
let sidecar: LiveSidecar;
let dns: NameServer;
/** At addresses of their own: on the client's node, in its zone, elsewhere. */
let near: LiveEndpoint;
let next: LiveEndpoint;
let far: LiveEndpoint;
const apps: { close(): unknown }[] = [];

before(async () => {
  dns = await NameServer.start();
  const locality = { region: 'r1', zone: 'z1' };
  sidecar = await LiveSidecar.start({ dnsPort: dns.port, locality, facts: { nodeName: NODE } });
  [near, next, far] = await Promise.all([
    startEndpoint('near', undefined, '127.41.0.1'),
    startEndpoint('next', undefined, '127.41.0.2'),
    startEndpoint('far', undefined, '127.41.0.3'),
  ]);
  apps.push(near, next, far);
  await sidecar.apply(
    yaml(
      node(NODE, 'z1'),
      node('node-2', 'z1'),
      node('node-3', 'z2'),
      pod('near', NODE),
      pod('next', 'node-2'),
      pod('far', 'node-3'),
    ),
  );
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  dns[Symbol.dispose]();
  for (const app of apps) await app.close();
});

const yaml = (...documents: readonly object[]): string =>
  documents.map((document) => JSON.stringify(document)).join('\n---\n');

function node(name: string, zone: string): object {
  const labels = { 'topology.kubernetes.io/region': 'r1', 'topology.kubernetes.io/zone': zone };
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } };
}

function pod(name: string, nodeName: string): object {
  const podIP = { near, next, far }[name]?.address;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: name, tier: 'backend' } },
    spec: { nodeName, containers: [] },
    status: {
      phase: 'Running',
      podIP,
      podIPs: [{ ip: podIP }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

interface Behind {
  readonly name?: string;
  readonly address: string;
  readonly port: number;
}

/** A Service with one port, and a slice for each endpoint, since their ports differ. */
function service(
  name: string,
  spec: object,
  endpoints: readonly Behind[],
  { port = {}, conditions = {} }: { readonly port?: object; readonly conditions?: object } = {},
): readonly object[] {
  const ports = [{ name: 'http', port: 80, ...port }];
  const { name: portName } = ports[0] as { name: string };
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec: { ports, ...spec } },
    ...endpoints.map((endpoint, i) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `${name}-${i}`,
        namespace: 'default',
        labels: { 'kubernetes.io/service-name': name },
      },
      addressType: 'IPv4',
      ports: [{ name: portName, port: endpoint.port }],
      endpoints: [
        {
          addresses: [endpoint.address],
          conditions,
          ...(endpoint.name === undefined
            ? {}
            : {
                hostname: endpoint.name,
                targetRef: { kind: 'Pod', namespace: 'default', name: endpoint.name },
              }),
        },
      ],
    })),
  ];
}

function serviceEntry(name: string, spec: object): object {
  const ports = [{ number: 80, name: 'http', protocol: 'HTTP' }];
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'default' },
    spec: { ports, resolution: 'STATIC', location: 'MESH_INTERNAL', ...spec },
  };
}

/** Who answered so many calls, in order of names. */
async function answering(host: string, calls = 12): Promise<readonly string[]> {
  return [...(await sidecar.count(host, calls)).keys()].sort();
}

const status = async (host: string): Promise<number> => (await sidecar.call(host)).status;

describe('names', () => {
  test('a Service is reached by each of its names, and by its address', async () => {
    await sidecar.apply(yaml(...service('web', { clusterIP: '10.0.0.10' }, [near])));
    for (const host of [
      'web',
      'web.default',
      'web.default.svc',
      'web.default.svc.cluster.local',
      '10.0.0.10',
    ])
      deepStrictEqual(await answering(host, 1), ['near'], host);
  });

  test('a headless Service is reached by its name and by those of its pods', async () => {
    await sidecar.apply(yaml(...service('set', { clusterIP: 'None' }, [near, next])));
    deepStrictEqual(await answering('set.default.svc.cluster.local'), ['near', 'next']);
    strictEqual(await status('near.set.default.svc.cluster.local'), 200);
  });

  test('ExternalName is another name: of a service of the mesh, or of a host outside', async () => {
    dns.set('api.outside.example', '127.41.0.3');
    const external = (externalName: string): object => ({ type: 'ExternalName', externalName });
    const port = { port: far.port };
    await sidecar.apply(
      yaml(
        ...service('web', { clusterIP: '10.0.0.10' }, [near]),
        ...service('alias', external('web.default.svc.cluster.local'), []),
        ...service('outside', external('api.outside.example'), [], { port }),
        serviceEntry('outside', {
          hosts: ['api.outside.example'],
          location: 'MESH_EXTERNAL',
          resolution: 'DNS',
          ports: [{ number: far.port, name: 'http', protocol: 'HTTP' }],
        }),
      ),
    );
    deepStrictEqual(await answering('alias.default.svc.cluster.local', 1), ['near']);
    deepStrictEqual(await answering(`outside.default.svc.cluster.local:${far.port}`, 1), ['far']);
  });

  test('a wildcard host takes what no longer name takes', async () => {
    const entry = (name: string, host: string, { address, port }: Behind): object =>
      serviceEntry(name, { hosts: [host], endpoints: [{ address, ports: { http: port } }] });
    await sidecar.apply(
      yaml(
        entry('wild', '*.wild.test', near),
        entry('wilder', '*.b.wild.test', next),
        entry('tame', 'a.b.wild.test', far),
      ),
    );
    deepStrictEqual(
      await Promise.all(['x.wild.test', 'x.b.wild.test', 'a.b.wild.test'].map((host) => answering(host, 1))),
      [['near'], ['next'], ['far']],
    );
  });
});

describe('protocols', () => {
  const PORTS: readonly (readonly [what: string, port: object, version: string])[] = [
    ['the name http', { name: 'http' }, '1.1'],
    ['the name http2-api', { name: 'http2-api' }, '2.0'],
    ['the name grpc', { name: 'grpc' }, '2.0'],
    ['appProtocol http over the name', { name: 'http2-old', appProtocol: 'http' }, '1.1'],
    ['appProtocol h2c of Kubernetes', { name: 'web', appProtocol: 'kubernetes.io/h2c' }, '2.0'],
    ['nothing that says: what the client speaks', { name: 'web' }, '1.1'],
  ];

  test('are told by the name of a port and its appProtocol, as the app sees', async () => {
    const byVersion: Readonly<Record<string, TestApp>> = {
      '1.1': await startHttpApp('127.0.0.1'),
      '2.0': await startHttp2App('127.0.0.1'),
    };
    apps.push(...Object.values(byVersion));
    const behind = (version: string): Behind => ({
      address: '127.0.0.1',
      port: byVersion[version]?.port ?? 0,
    });
    await sidecar.apply(
      yaml(
        ...PORTS.flatMap(([, port, version], i) =>
          service(`proto-${i}`, { clusterIP: `10.0.1.${i + 1}` }, [behind(version)], { port }),
        ),
      ),
    );
    for (const [i, [what, , version]] of PORTS.entries()) {
      const answer = await sidecar.call(`proto-${i}`);
      strictEqual(answer.status, 200, what);
      strictEqual(JSON.parse(answer.body).version, version, what);
    }
  });
});

describe('endpoints', () => {
  test('that are not ready get nothing, unless the Service says so', async () => {
    await sidecar.apply(
      yaml(
        ...service('unready', { clusterIP: '10.0.2.1' }, [near], {
          conditions: { ready: false, serving: false, terminating: false },
        }),
        // So Kubernetes writes the slices of such a Service.
        ...service('early', { clusterIP: '10.0.2.2', publishNotReadyAddresses: true }, [near], {
          conditions: { ready: true, serving: false, terminating: false },
        }),
      ),
    );
    deepStrictEqual([await status('unready'), await status('early')], [503, 200]);
  });

  test('internalTrafficPolicy Local: of the own node, and no others', async () => {
    const spec = { clusterIP: '10.0.3.1', internalTrafficPolicy: 'Local' };
    await sidecar.apply(
      yaml(
        ...service('local', spec, [near, next, far]),
        ...service('absent', { ...spec, clusterIP: '10.0.3.2' }, [next, far]),
      ),
    );
    deepStrictEqual([await answering('local'), await status('absent')], [['near'], 503]);
  });

  test('trafficDistribution: first those of the node or the zone, then all', async () => {
    const of = (name: string, ip: number, trafficDistribution: string, endpoints: readonly Behind[]) =>
      service(name, { clusterIP: `10.0.4.${ip}`, trafficDistribution }, endpoints);
    await sidecar.apply(
      yaml(
        ...of('same-node', 1, 'PreferSameNode', [near, next, far]),
        ...of('same-zone', 2, 'PreferSameZone', [near, next, far]),
        ...of('close', 3, 'PreferClose', [next, far]),
        ...of('away', 4, 'PreferClose', [far]),
      ),
    );
    deepStrictEqual(
      await Promise.all(['same-node', 'same-zone', 'close', 'away'].map((host) => answering(host))),
      [['near'], ['near', 'next'], ['next'], ['far']],
    );
  });

  test('of a ServiceEntry are the pods and WorkloadEntries that it selects; a Service selects WorkloadEntries too', async () => {
    const machine = (name: string, { address, port }: Behind): object => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadEntry',
      metadata: { name, namespace: 'default' },
      spec: { address, ports: { http: port }, labels: { app: name, group: 'machines' } },
    });
    await sidecar.apply(
      yaml(
        machine('vm-1', next),
        machine('vm-2', far),
        serviceEntry('machines', {
          hosts: ['machines.test'],
          workloadSelector: { labels: { group: 'machines' } },
        }),
        serviceEntry('pods', {
          hosts: ['pods.test'],
          ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: near.port }],
          workloadSelector: { labels: { app: 'near' } },
        }),
        ...service('mixed', { clusterIP: '10.0.5.1', selector: { group: 'machines' } }, []),
      ),
    );
    deepStrictEqual(
      await Promise.all(['machines.test', 'pods.test', 'mixed'].map((host) => answering(host))),
      [['far', 'next'], ['near'], ['far', 'next']],
    );
  });

  test('may have addresses of IPv6', async () => {
    const six = await startEndpoint('six', undefined, '::1');
    apps.push(six);
    const endpoint = { address: six.address, ports: { http: six.port } };
    await sidecar.apply(yaml(serviceEntry('six', { hosts: ['six.test'], endpoints: [endpoint] })));
    deepStrictEqual(await answering('six.test', 1), ['six']);
  });
});

describe('DYNAMIC_DNS', () => {
  const entry = (name: string, host: string, port: object): object =>
    serviceEntry(name, {
      hosts: [host],
      location: 'MESH_EXTERNAL',
      resolution: 'DYNAMIC_DNS',
      ports: [{ name: 'main', ...port }],
    });

  test('looks up the host that a request names', async () => {
    dns.set('one.dynamic.example', '127.41.0.1');
    dns.set('two.dynamic.example', '127.41.0.2');
    const { port } = near;
    const other = await startEndpoint('other', undefined, '127.41.0.2');
    apps.push(other);
    await sidecar.apply(
      yaml(
        entry('dynamic', '*.dynamic.example', { number: port, protocol: 'HTTP' }),
        entry('dynamic-2', '*.more.example', { number: other.port, protocol: 'HTTP' }),
      ),
    );
    deepStrictEqual(await answering(`one.dynamic.example:${port}`, 2), ['near']);
    match((await sidecar.call(`none.dynamic.example:${port}`)).body, /DNS resolution failure/);
    dns.set('x.more.example', '127.41.0.2');
    deepStrictEqual(await answering(`x.more.example:${other.port}`, 2), ['other']);
  });

  test('looks up the server name of a handshake, and passes TLS on as it is', async () => {
    const { key, chain } = await sidecar.feed.authority.issue('spiffe://test/tls', {});
    const server = createTlsServer({ key, cert: chain }, (socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(`to ${socket.servername}`);
    });
    server.listen(0, '127.41.0.3');
    await once(server, 'listening');
    apps.push(server);
    const { port } = server.address() as AddressInfo;
    dns.set('a.tls.example', '127.41.0.3');
    await sidecar.apply(yaml(entry('dynamic-tls', '*.tls.example', { number: port, protocol: 'TLS' })));
    const socket = connectTls({
      host: sidecar.address,
      port,
      servername: 'a.tls.example',
      rejectUnauthorized: false,
    });
    strictEqual(await text(socket), 'to a.tls.example');
  });
});
