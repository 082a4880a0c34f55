import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { GatewayServer } from '#api/gateway.ts';
import { resolveGateway } from '#model/gateway.ts';
import { object } from '#model/service-model-rig.ts';
import { type MergedGateway, mergeGateways } from './gateway-merge.ts';
import type { GatewayTarget, GatewayView } from './gateway-view.ts';

interface MergeCase {
  readonly title: string;
  /** Servers of one Gateway each, in order of precedence. */
  readonly servers: readonly GatewayServer[];
  readonly targets?: readonly GatewayTarget[];
  readonly udpPorts?: readonly number[];
  /** `number protocol bind: gateways`. */
  readonly ports: readonly string[];
  readonly tables: readonly string[];
  readonly findings?: readonly string[];
  /** Tables that HTTP/3 is advertised in. */
  readonly http3?: readonly string[];
  /** `bound port, written port` of the servers that listen on UDP. */
  readonly quicServers?: readonly string[];
}

function server(protocol: string, number: number, extra: Partial<GatewayServer> = {}): GatewayServer {
  return { port: { number, name: `${protocol.toLowerCase()}-${number}`, protocol }, hosts: ['*'], ...extra };
}

const SIMPLE = { mode: 'SIMPLE', credentialName: 'c' } as const;

const CASES: readonly MergeCase[] = [
  {
    title: 'HTTP servers of one port share a table',
    servers: [server('HTTP', 80), server('GRPC', 80)],
    ports: ['80 HTTP : 0,1'],
    tables: ['http.80: 0,1'],
  },
  {
    title: 'HTTPS servers of one port have a table each',
    servers: [
      server('HTTPS', 443, { tls: SIMPLE, hosts: ['a.com'] }),
      server('HTTPS', 443, { tls: SIMPLE, hosts: ['b.com'] }),
    ],
    ports: ['443 HTTPS : 0,1'],
    tables: ['https.443.https-443.g0.ns: 0', 'https.443.https-443.g1.ns: 1'],
  },
  {
    title: 'a second HTTPS server for the same host is left out',
    servers: [
      server('HTTPS', 443, { tls: SIMPLE, hosts: ['a.com'] }),
      server('HTTPS', 443, { tls: SIMPLE, hosts: ['a.com'] }),
    ],
    ports: ['443 HTTPS : 0'],
    tables: ['https.443.https-443.g0.ns: 0'],
    findings: ['LTN5012 g1'],
  },
  {
    title: 'TCP does not join HTTP on a port',
    servers: [server('HTTP', 80), server('TCP', 80)],
    ports: ['80 HTTP : 0'],
    tables: ['http.80: 0'],
    findings: ['LTN5010 g1'],
  },
  {
    title: 'another bind address is another listener',
    servers: [server('HTTP', 80), server('TCP', 80, { bind: '10.0.0.1' })],
    ports: ['80 HTTP : 0', '80 TCP 10.0.0.1: 1'],
    tables: ['http.80: 0'],
  },
  {
    title: 'TLS pass-through and HTTPS share a port',
    servers: [
      server('TLS', 443, { tls: { mode: 'PASSTHROUGH' }, hosts: ['a.com'] }),
      server('HTTPS', 443, { tls: SIMPLE, hosts: ['b.com'] }),
    ],
    ports: ['443 TLS : 0', '443 HTTPS : 1'],
    tables: ['https.443.https-443.g1.ns: 1'],
  },
  {
    title:
      'ports are translated to those that the proxy listens on, names of https tables keep the written one',
    servers: [server('HTTP', 80), server('HTTPS', 443, { tls: SIMPLE })],
    targets: [
      { port: 80, targetPort: 8080 },
      { port: 443, targetPort: 8443 },
    ],
    ports: ['8080 HTTP : 0', '8443 HTTPS : 1'],
    tables: ['http.8080: 0', 'https.443.https-443.g1.ns: 1'],
  },
  {
    title: 'ports that become one by translation are merged',
    servers: [server('HTTP', 80), server('HTTP', 8080)],
    targets: [{ port: 80, targetPort: 8080 }],
    ports: ['8080 HTTP : 0,1'],
    tables: ['http.8080: 0,1'],
  },
  {
    title:
      'HTTPS is served over HTTP/3 where a UDP port leads to it, but not where clients must show certificates',
    servers: [
      server('HTTPS', 443, { tls: SIMPLE, hosts: ['a.com'] }),
      server('HTTPS', 443, { tls: { mode: 'MUTUAL', credentialName: 'c' }, hosts: ['b.com'] }),
      server('TLS', 443, { tls: { mode: 'PASSTHROUGH' }, hosts: ['c.com'] }),
      server('HTTPS', 9443, { tls: SIMPLE }),
    ],
    targets: [{ port: 443, targetPort: 8443 }],
    udpPorts: [443],
    ports: ['8443 HTTPS : 0,1', '8443 TLS : 2', '9443 HTTPS : 3'],
    tables: [
      'https.443.https-443.g0.ns: 0',
      'https.443.https-443.g1.ns: 1',
      'https.9443.https-9443.g3.ns: 3',
    ],
    http3: ['https.443.https-443.g0.ns'],
    quicServers: ['8443 443'],
  },
];

function merged(testCase: MergeCase): MergedGateway {
  const gateways = testCase.servers.map((one, i) =>
    resolveGateway(object('Gateway', `g${i}`, { servers: [one] }, { namespace: 'ns' })),
  );
  const { targets = [], udpPorts = [] } = testCase;
  return mergeGateways(gateways, { targets, udpPorts } as unknown as GatewayView, true);
}

for (const testCase of CASES) {
  test(testCase.title, () => {
    const { ports, tables, diagnostics } = merged(testCase);
    const names = (servers: readonly { readonly gateway: string }[]) =>
      servers.map((one) => one.gateway.replace('ns/g', '')).join();
    deepStrictEqual(
      {
        ports: ports.map((port) => `${port.number} ${port.protocol} ${port.bind}: ${names(port.servers)}`),
        tables: tables.map((table) => `${table.name}: ${names(table.servers)}`),
        findings: diagnostics.map((finding) => `${finding.code} ${finding.resource?.name}`),
        http3: tables.filter((table) => table.advertisesHttp3).map((table) => table.name),
        quicServers: ports.flatMap((port) => port.quicServers.map((one) => `${port.number} ${one.port}`)),
      },
      {
        ports: testCase.ports,
        tables: testCase.tables,
        findings: testCase.findings ?? [],
        http3: testCase.http3 ?? [],
        quicServers: testCase.quicServers ?? [],
      },
    );
  });
}

const HOSTS: readonly (readonly [readonly string[], readonly string[]])[] = [
  [
    ['./a.com', '*/b.com', 'other/c.com', 'd.com'],
    ['ns/a.com', 'b.com', 'other/c.com', 'd.com'],
  ],
  [['a.com', '*/*'], ['*']],
];
for (const [written, resolved] of HOSTS) {
  test(`hosts ${JSON.stringify(written)} of a Gateway in ns are ${JSON.stringify(resolved)}`, () => {
    const gateway = resolveGateway(
      object('Gateway', 'g', { servers: [server('HTTP', 80, { hosts: [...written] })] }, { namespace: 'ns' }),
    );
    deepStrictEqual(gateway.servers[0]?.hosts, resolved);
  });
}
