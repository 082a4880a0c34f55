/**
 * Traffic that the kernel brings to Envoy, in network namespaces: where it wanted to go and where it came from, for every kind of
 * service that lives on that; REDIRECT, TPROXY, both address families.
 */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Got, ServeOptions } from './namespace-host.ts';
import {
  type Interception,
  type Mode,
  openInterception,
  POD,
  whyNoInterception,
  WORLD,
} from './namespace-rig.ts';

const reason = whyNoInterception();
const options = { skip: reason === '' ? false : reason, timeout: 60_000 };
const HTTP_PORT = 8080;
const TCP_PORT = 3306;
const UDP_PORT = 5353;
/** One that Istio does not know as a protocol whose server speaks first. */
const BYTES_PORT = 9000;
/** Nothing that HTTP could begin with. */
const HELLO = 'hello\n';
let rig: Interception;

const yaml = (...documents: readonly object[]): string =>
  documents.map((document) => JSON.stringify(document)).join('\n---\n');

function facts(more: Partial<ServeOptions['facts']> = {}): ServeOptions['facts'] {
  return { name: 'app', ip: POD.v4, labels: { app: 'app' }, ...more };
}

async function serve(
  documents: readonly object[],
  more: Partial<ServeOptions> = {},
): Promise<readonly string[]> {
  return rig.pod.serve(yaml(...documents), { facts: facts(), ...more });
}

interface Port {
  readonly name: string;
  readonly port: number;
  readonly appProtocol?: string;
  readonly protocol?: string;
}

/** A Service whose endpoints are at these addresses, at the ports of the same number. */
function service(
  name: string,
  spec: object,
  ports: readonly Port[],
  addresses: readonly string[],
): readonly object[] {
  const isIpv6 = addresses.some((address) => address.includes(':'));
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec: { ports, ...spec } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
      addressType: isIpv6 ? 'IPv6' : 'IPv4',
      ports: ports.map(({ name: portName, port }) => ({ name: portName, port })),
      endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    },
  ];
}

function istio(kind: string, name: string, spec: object): object {
  const group = kind === 'AuthorizationPolicy' ? 'security' : 'networking';
  return { apiVersion: `${group}.istio.io/v1`, kind, metadata: { name, namespace: 'default' }, spec };
}

/** Every request to the host says which rule it met. */
function marked(host: string, mark: string): object {
  const headers = { request: { set: { 'x-rule': mark } } };
  return istio('VirtualService', host.replaceAll('.', '-').replaceAll('*', 'any'), {
    hosts: [host],
    http: [{ headers, route: [{ destination: { host } }] }],
  });
}

const HTTP: Port = { name: 'http', port: HTTP_PORT };
const ENDPOINTS = [WORLD.a, WORLD.b];
const REFUSED = { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } };

/** Who answered, and what it saw. */
async function got(address: string, port: number, host: string): Promise<Got> {
  return rig.pod.get(address, port, host);
}

/** What the server says first; '' when the connection is ended without. */
async function greeting(address: string, port: number): Promise<string> {
  const answer = await rig.pod.tell(address, port, HELLO).catch(() => '');
  return answer.split('\n')[0] ?? '';
}

before(async () => {
  if (reason !== '') return;
  rig = await openInterception();
  await Promise.all([
    rig.world.listenHttp('world', HTTP_PORT),
    rig.world.listenTcp('world', TCP_PORT),
    rig.world.listenTcp('world', BYTES_PORT),
    rig.world.listenUdp(UDP_PORT),
    rig.pod.listenHttp('app', HTTP_PORT),
    rig.pod.listenTcp('app', TCP_PORT),
  ]);
});

after(() => (rig as Interception | undefined)?.[Symbol.asyncDispose]());

async function intercept(mode: Mode): Promise<void> {
  if (reason === '') await rig.intercept(mode);
}

describe('outbound by REDIRECT', () => {
  before(() => intercept('REDIRECT'));

  test('the address of a Service leads to its endpoints, by the rules for it', options, async () => {
    await serve([
      ...service('web', { clusterIP: '10.96.0.1' }, [HTTP], ENDPOINTS),
      marked('web.default.svc.cluster.local', 'web'),
    ]);
    const answers = await Promise.all(Array.from({ length: 12 }, () => got('10.96.0.1', HTTP_PORT, 'web')));
    deepStrictEqual([...new Set(answers.map(({ at }) => at))].sort(), ENDPOINTS);
    deepStrictEqual(
      answers.filter(({ from, headers }) => from !== POD.v4 || headers?.['x-rule'] !== 'web'),
      [],
    );
  });

  test('a server that speaks first is heard at once: TCP, MySQL', options, async () => {
    await serve([
      ...service('db', { clusterIP: '10.96.0.2' }, [{ name: 'mysql', port: TCP_PORT }], [WORLD.b]),
    ]);
    strictEqual(await greeting('10.96.0.2', TCP_PORT), `world ${WORLD.b} ${POD.v4}`);
  });

  test('a port that does not say what it speaks: HTTP by its rules, bytes as they are', options, async () => {
    await serve([
      ...service('http', { clusterIP: '10.96.0.3' }, [{ name: 'main', port: HTTP_PORT }], [WORLD.a]),
      ...service('bytes', { clusterIP: '10.96.0.4' }, [{ name: 'main', port: BYTES_PORT }], [WORLD.b]),
      marked('http.default.svc.cluster.local', 'sniffed'),
    ]);
    strictEqual((await got('10.96.0.3', HTTP_PORT, 'http')).headers?.['x-rule'], 'sniffed');
    strictEqual(await greeting('10.96.0.4', BYTES_PORT), `world ${WORLD.b} ${POD.v4}`);
  });

  test('what no service names goes where it wanted to, or nowhere', options, async () => {
    await serve([]);
    const { at, from } = await got(WORLD.outside, HTTP_PORT, 'any.test');
    deepStrictEqual([at, from], [WORLD.outside, POD.v4]);
    strictEqual(await greeting(WORLD.outside, TCP_PORT), `world ${WORLD.outside} ${POD.v4}`);
    await serve([], { meshConfig: REFUSED });
    strictEqual((await got(WORLD.outside, HTTP_PORT, 'any.test')).status, 0);
    strictEqual(await greeting(WORLD.outside, TCP_PORT), '');
  });

  test(
    'ServiceEntry without resolution: the address stays, the name decides about HTTP, addresses about bytes',
    options,
    async () => {
      await serve(
        [
          istio('ServiceEntry', 'wild', {
            hosts: ['*.outside.test'],
            location: 'MESH_EXTERNAL',
            resolution: 'NONE',
            ports: [{ number: HTTP_PORT, name: 'http', protocol: 'HTTP' }],
          }),
          istio('ServiceEntry', 'net', {
            hosts: ['net.test'],
            addresses: ['198.51.100.0/24'],
            resolution: 'NONE',
            ports: [{ number: TCP_PORT, name: 'tcp', protocol: 'TCP' }],
          }),
          marked('*.outside.test', 'wild'),
        ],
        { meshConfig: REFUSED },
      );
      const known = await got(WORLD.outside, HTTP_PORT, 'a.outside.test');
      deepStrictEqual([known.at, known.headers?.['x-rule']], [WORLD.outside, 'wild']);
      strictEqual((await got(WORLD.outside, HTTP_PORT, 'elsewhere.test')).status, 502);
      strictEqual(await greeting(WORLD.outside, TCP_PORT), `world ${WORLD.outside} ${POD.v4}`);
      strictEqual(await greeting(WORLD.a, TCP_PORT), '');
    },
  );

  test('a ServiceEntry without addresses gets one, which leads to its endpoints', options, async () => {
    const listeners = await serve(
      [
        istio('ServiceEntry', 'auto', {
          hosts: ['auto.test'],
          resolution: 'STATIC',
          ports: [{ number: TCP_PORT, name: 'tcp', protocol: 'TCP' }],
          endpoints: [{ address: WORLD.b }],
        }),
      ],
      { facts: facts({ dnsCapture: true }) },
    );
    const given = listeners.find((name) => name.startsWith('240.240.')) ?? '';
    const [address = ''] = given.split('_');
    strictEqual(await greeting(address, TCP_PORT), `world ${WORLD.b} ${POD.v4}`);
  });

  test('a headless Service: each pod by its address, with the rules of the Service', options, async () => {
    await serve(
      [
        ...service('set', { clusterIP: 'None' }, [HTTP, { name: 'tcp', port: TCP_PORT }], ENDPOINTS),
        marked('set.default.svc.cluster.local', 'set'),
      ],
      { meshConfig: REFUSED },
    );
    for (const address of ENDPOINTS) {
      const { at, headers } = await got(address, HTTP_PORT, 'web-0.set.default.svc.cluster.local');
      deepStrictEqual([at, headers?.['x-rule']], [address, 'set']);
      strictEqual(await greeting(address, TCP_PORT), `world ${address} ${POD.v4}`);
    }
  });

  test('PASSTHROUGH does not balance', options, async () => {
    await serve([
      ...service('pass', { clusterIP: '10.96.0.5' }, [HTTP], [WORLD.b]),
      istio('DestinationRule', 'pass', {
        host: 'pass.default.svc.cluster.local',
        trafficPolicy: { loadBalancer: { simple: 'PASSTHROUGH' } },
      }),
    ]);
    strictEqual((await got(WORLD.a, HTTP_PORT, 'pass.default.svc.cluster.local')).at, WORLD.a);
  });

  test('datagrams are not touched, whatever Services there are for them', options, async () => {
    await serve([
      ...service(
        'dns',
        { clusterIP: WORLD.b },
        [{ name: 'dns', port: UDP_PORT, protocol: 'UDP' }],
        [WORLD.a],
      ),
    ]);
    strictEqual(await rig.pod.datagram(WORLD.b, UDP_PORT, 'ping'), 'ping');
  });
});

const OWN = service('app', { clusterIP: '10.96.0.9', selector: { app: 'app' } }, [HTTP], [POD.v4]);
const POD_OBJECT = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'app', namespace: 'default', labels: { app: 'app' } },
  spec: { containers: [] },
  status: {
    phase: 'Running',
    podIP: POD.v4,
    podIPs: [{ ip: POD.v4 }, { ip: POD.v6 }],
    conditions: [{ type: 'Ready', status: 'True' }],
  },
};
const CLOSED = istio('AuthorizationPolicy', 'closed', {
  action: 'DENY',
  rules: [{ to: [{ operation: { ports: [String(HTTP_PORT)], paths: ['/closed'] } }] }],
});

/** Calls from outside: to a port of a Service, to one that no Service names, to what a policy denies. */
async function inbound(address: string): Promise<readonly unknown[]> {
  const open = await rig.world.get(address, HTTP_PORT, 'app');
  const closed = await rig.world.get(address, HTTP_PORT, 'app', '/closed');
  const unnamed = await rig.world.tell(address, TCP_PORT, HELLO);
  return [open.name, open.from, closed.status, unnamed.split('\n')[0]];
}

describe('inbound by REDIRECT', () => {
  before(() => intercept('REDIRECT'));

  test('all ports come by the proxy, from its own address', options, async () => {
    await serve([POD_OBJECT, ...OWN, CLOSED]);
    deepStrictEqual(await inbound(POD.v4), ['app', '127.0.0.6', 403, `app ${POD.v4} 127.0.0.6`]);
  });

  test('the pod reaches itself by its Service, through both of its proxy’s sides', options, async () => {
    await serve([POD_OBJECT, ...OWN, CLOSED, marked('app.default.svc.cluster.local', 'own')]);
    const { name, from, headers } = await got('10.96.0.9', HTTP_PORT, 'app');
    deepStrictEqual([name, from, headers?.['x-rule']], ['app', '127.0.0.6', 'own']);
    strictEqual((await rig.pod.get('10.96.0.9', HTTP_PORT, 'app', '/closed')).status, 403);
  });

  test('both families: Services, and calls from outside', options, async () => {
    const dual = { facts: facts({ addresses: [POD.v4, POD.v6] }), flags: { dualStack: true } };
    const ips = {
      clusterIP: '10.96.0.7',
      clusterIPs: ['10.96.0.7', 'fd96::7'],
      ipFamilies: ['IPv4', 'IPv6'],
    };
    const [six, slice] = service('six', ips, [HTTP], [WORLD.a6]);
    await serve([six ?? {}, slice ?? {}, POD_OBJECT, ...OWN, CLOSED], dual);
    const seen = await Promise.all(['10.96.0.7', 'fd96::7'].map((address) => got(address, HTTP_PORT, 'six')));
    deepStrictEqual(
      seen.map(({ at, from }) => `${at} ${from}`),
      [`${WORLD.a6} ${POD.v6}`, `${WORLD.a6} ${POD.v6}`],
    );
    deepStrictEqual(await inbound(POD.v6), ['app', '::6', 403, `app ${POD.v6} ::6`]);
    strictEqual((await got(WORLD.a6, HTTP_PORT, 'any.test')).at, WORLD.a6);
  });
});

describe('TPROXY', () => {
  before(() => intercept('TPROXY'));
  const tproxy = { facts: facts({ interceptionMode: 'TPROXY' }) };

  test('the application sees the address of its client', options, async () => {
    await serve([POD_OBJECT, ...OWN, CLOSED], tproxy);
    deepStrictEqual(await inbound(POD.v4), ['app', WORLD.a, 403, `app ${POD.v4} ${WORLD.a}`]);
  });

  test('outbound goes as with REDIRECT', options, async () => {
    await serve(
      [
        ...service('web', { clusterIP: '10.96.0.1' }, [HTTP], [WORLD.b]),
        marked('web.default.svc.cluster.local', 'web'),
      ],
      tproxy,
    );
    const { at, headers } = await got('10.96.0.1', HTTP_PORT, 'web');
    deepStrictEqual([at, headers?.['x-rule']], [WORLD.b, 'web']);
    strictEqual(await greeting(WORLD.outside, TCP_PORT), `world ${WORLD.outside} ${POD.v4}`);
  });
});
