/**
 * Random calls at a random mesh: made to fit a rule of some VirtualService, made to fit but for one thing, or made of anything.
 * Calls of one group share a connection.
 */
import type { HTTPMatchRequestJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import type {
  CallConnection,
  CallProtocol,
  CallRequest,
  ClientCertificate,
  ClientTls,
} from '#simulation/call.ts';
import { type Draw, HEADER_MATCHES, sampleFor, URI_MATCHES } from './simulation-draw.ts';
import {
  ENTRY_ADDRESS,
  GATEWAY_ADDRESS,
  type Manifest,
  PORTS,
  SERVICES,
  UNKNOWN_ADDRESS,
  UNSERVED_PORT,
  WORKLOAD_ADDRESS,
} from './simulation-mesh.ts';
import type { RigCall } from './simulation-rig.ts';
import type { Token } from './simulation-tokens.ts';
import {
  createTestAuthority,
  type TestAuthority,
  type WorkloadCertificate,
} from './workload-certificates.ts';

/** A client's certificate, as the simulator sees it and as a file. */
export interface Identity {
  readonly seen: ClientCertificate;
  readonly pem: WorkloadCertificate;
}

/** Friends, strangers, another trust domain, another root. */
export async function createIdentities(authority: TestAuthority): Promise<readonly Identity[]> {
  const other = await createTestAuthority();
  const make = async (signer: TestAuthority, uri: string): Promise<Identity> => ({
    seen: { uris: [uri], dnsNames: [], subject: 'CN=client', isTrusted: signer === authority },
    pem: await signer.issue(uri, { CN: 'client' }),
  });
  return Promise.all([
    make(authority, 'spiffe://cluster.local/ns/default/sa/friend'),
    make(authority, 'spiffe://cluster.local/ns/shop/sa/stranger'),
    make(authority, 'spiffe://other.domain/ns/default/sa/friend'),
    make(other, 'spiffe://cluster.local/ns/default/sa/friend'),
  ]);
}

/** Who may be calling. */
export interface Clients {
  readonly identities: readonly Identity[];
  readonly tokens: readonly Token[];
}

export type Side = 'outbound' | 'inbound' | 'gateway';

const PATHS = [
  '/',
  '/a',
  '/x/1/y',
  '/v1/a/b',
  '//a',
  '/./a',
  '/b/../a',
  '/%61',
  '/api%2Fv1',
  '/a;p=1',
  '/%zz',
];
const AUTHORITIES = [
  'nobody.example.com',
  'a',
  'client:8080',
  '127.88.0.1:8080',
  'A.Default.svc.cluster.local:8080',
];
const SOURCES = ['127.66.0.1', '127.66.9.9', '127.67.0.1'];
const FIRST_PORT = 1024;

export class CallDraw {
  readonly #draw: Draw;
  readonly #clients: Clients;
  readonly #matches: readonly (readonly [hosts: readonly string[], match: HTTPMatchRequestJson])[];
  #groups = 0;

  constructor(draw: Draw, clients: Clients, manifests: readonly Manifest[]) {
    this.#draw = draw;
    this.#clients = clients;
    this.#matches = manifests.flatMap(matchesOf);
  }

  /** A few calls on one connection. */
  group(side: Side): readonly RigCall[] {
    const group = this.#groups++;
    const { connection, identity } = this.#connection(side, FIRST_PORT + group);
    const direction = side === 'outbound' ? 'outbound' : 'inbound';
    const call = { direction, connection, group, certificate: identity?.pem } as const;
    if (connection.protocol === 'tcp') return [{ ...call, request: undefined }];
    const count = 1 + this.#draw.int(6);
    return Array.from({ length: count }, () => ({ ...call, request: this.#request(side, connection) }));
  }

  #connection(
    side: Side,
    sourcePort: number,
  ): { connection: CallConnection; identity: Identity | undefined } {
    const draw = this.#draw;
    const protocol = draw.one<CallProtocol>(['http/1.1', 'http/1.1', 'http/1.1', 'http/2', 'tcp']);
    const place = this.#place(side, protocol);
    const sourceAddress = side === 'outbound' ? WORKLOAD_ADDRESS : draw.one(SOURCES);
    const identity = draw.chance(0.75) ? draw.one(this.#clients.identities) : undefined;
    const tls = this.#speaksTls(side, place.port) ? this.#tls(side, protocol, identity) : undefined;
    const connection = { sourceAddress, sourcePort, ...place, protocol, tls };
    return { connection, identity: tls === undefined ? undefined : identity };
  }

  #place(side: Side, protocol: CallProtocol): { address: string; port: number } {
    const draw = this.#draw;
    if (side === 'gateway') {
      return {
        address: GATEWAY_ADDRESS,
        port: draw.one(protocol === 'tcp' ? [9000, 9443, 8080] : [8080, 8080, 8443, 8444, 9443]),
      };
    }
    if (side === 'inbound') {
      const ports = [...PORTS.map(({ targetPort }) => targetPort), 7001, 7001, UNSERVED_PORT];
      return { address: WORKLOAD_ADDRESS, port: draw.one(ports) };
    }
    const addresses = [...SERVICES.map(({ address }) => address), ENTRY_ADDRESS, UNKNOWN_ADDRESS];
    const port = draw.chance(0.6) && protocol !== 'tcp' ? 8080 : draw.one(PORTS).port;
    return { address: draw.one(addresses), port };
  }

  #speaksTls(side: Side, port: number): boolean {
    if (side === 'outbound') return port === 9443 ? this.#draw.chance(0.8) : this.#draw.chance(0.02);
    if (side === 'inbound') return this.#draw.chance(0.7);
    return port === 8443 || port === 8444 || port === 9443 ? this.#draw.chance(0.95) : false;
  }

  #tls(side: Side, protocol: CallProtocol, identity: Identity | undefined): ClientTls {
    const draw = this.#draw;
    const names = [
      'one.example.com',
      'x.two.example.com',
      'two.example.com',
      'x.example.com',
      'b.default.svc.cluster.local',
      'a',
      '',
    ];
    const ofMesh = {
      'http/1.1': ['istio-http/1.1', 'istio', 'http/1.1'],
      'http/2': ['istio-h2', 'istio', 'h2'],
      tcp: ['istio'],
    };
    const plain = { 'http/1.1': ['http/1.1'], 'http/2': ['h2'], tcp: [] };
    const alpn = (side === 'inbound' ? draw.chance(0.8) : draw.chance(0.1)) ? ofMesh : plain;
    return { serverName: draw.one(names), alpn: alpn[protocol], certificate: identity?.seen };
  }

  #request(side: Side, connection: CallConnection): CallRequest {
    const draw = this.#draw;
    const fitted =
      draw.chance(0.7) && this.#matches.length > 0 && side !== 'inbound'
        ? this.#fitted(connection)
        : undefined;
    const anything = this.#anything(side);
    const own = connection.tls === undefined ? 'http' : 'https';
    const scheme = connection.protocol === 'http/2' ? own : '';
    const token = draw.chance(0.45) ? draw.one(this.#clients.tokens) : undefined;
    const bearer = token === undefined ? [] : [['authorization', `Bearer ${token.text}`] as const];
    const headers = [...(fitted?.headers ?? anything.headers), ...this.#extraHeaders(), ...bearer];
    return { ...anything, ...fitted, scheme, headers, claims: token?.claims };
  }

  #anything(side: Side): CallRequest {
    const draw = this.#draw;
    const path = draw.chance(0.5) ? draw.one(PATHS) : sampleFor(draw, draw.one(URI_MATCHES).match, true);
    const hosts =
      side === 'gateway' ? ['one.example.com', 'x.two.example.com', 'three.example.com:8080'] : AUTHORITIES;
    const method = draw.one(['GET', 'GET', 'POST', 'PUT', 'HEAD']);
    return {
      method,
      authority: draw.one([...hosts, ...AUTHORITIES]),
      path,
      scheme: '',
      headers: [],
      claims: undefined,
    };
  }

  /** Fits a rule, or nearly. */
  #fitted({ port }: CallConnection): Partial<CallRequest> {
    const draw = this.#draw;
    const [hosts, match] = draw.one(this.#matches);
    const isNear = draw.chance(0.3);
    const broken = draw.one(['path', 'headers', 'method', 'query']);
    const sample = (what: string, matcher: Parameters<typeof sampleFor>[1]): string =>
      sampleFor(draw, matcher, !isNear || what !== broken);
    let path = match.uri === undefined ? '/' : sample('path', match.uri);
    if (match.ignoreUriCase === true && draw.chance(0.5)) path = path.toUpperCase();
    for (const [name, matcher] of Object.entries(match.queryParams ?? {})) {
      path += `${path.includes('?') ? '&' : '?'}${name}=${sample('query', matcher)}`;
    }
    const named = Object.entries(match.headers ?? {}).filter(([name]) => !name.startsWith('@'));
    const headers = named.map(([name, matcher]) => [name, sample('headers', matcher)] as const);
    const host = draw.one(hosts).replace('*', draw.one(['x', 'deep.er']));
    const authority = draw.chance(0.5) ? host : `${host}:${port}`;
    return {
      path,
      headers,
      authority,
      ...(match.method === undefined ? {} : { method: sample('method', match.method) }),
    };
  }

  #extraHeaders(): readonly (readonly [string, string])[] {
    const draw = this.#draw;
    const value = (): string => sampleFor(draw, draw.one(HEADER_MATCHES).match, draw.chance(0.5));
    const drawn = draw.some(0.08, {
      'x-not': [['x-not', value()]],
      'x-b': [
        ['x-b', value()],
        ['x-b', value()],
      ],
      forwarded: [['x-forwarded-for', draw.one(['192.0.2.1', '192.0.2.1, 127.66.0.1', 'nonsense'])]],
      proto: [['x-forwarded-proto', draw.one(['https', 'http', 'ftp'])]],
      grpc: [
        ['content-type', 'application/grpc'],
        ['te', 'trailers'],
      ],
      origin: [['origin', 'https://ok.example.com']],
    } as const);
    return Object.values(drawn).flat() as unknown as readonly (readonly [string, string])[];
  }

  /** A preflight for the path of some rule. */
  preflight(call: RigCall): RigCall {
    if (call.request === undefined) return call;
    const origin = this.#draw.one(['https://ok.example.com', 'https://evil.example.com']);
    const headers = [
      ...call.request.headers,
      ['origin', origin],
      ['access-control-request-method', 'GET'],
    ] as const;
    return { ...call, request: { ...call.request, method: 'OPTIONS', headers } };
  }
}

function matchesOf({ kind, spec }: Manifest): (readonly [readonly string[], HTTPMatchRequestJson])[] {
  if (kind !== 'VirtualService') return [];
  const { hosts = ['a'], http = [] } = spec as {
    readonly hosts?: readonly string[];
    readonly http?: readonly { readonly match?: readonly HTTPMatchRequestJson[] }[];
  };
  return http.flatMap(({ match = [{}] }) => match.map((one) => [hosts, one] as const));
}
