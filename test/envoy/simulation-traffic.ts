/** Random objects of networking.istio.io over the fixed mesh: what decides where a call goes. */
import { type Draw, HEADER_MATCHES, METHOD_MATCHES, QUERY_MATCHES, URI_MATCHES } from './simulation-draw.ts';
import { ENTRY_ADDRESS, ENTRY_POD, type Manifest } from './simulation-mesh.ts';

type Plain = Readonly<Record<string, unknown>>;

/** Where random objects are bound. */
export interface Binding {
  readonly gateways: readonly string[];
  readonly hosts: readonly string[];
  /** Routes ask for claims of tokens, too. */
  readonly byClaims: boolean;
}

export const MESH_HOSTS: readonly string[] = [
  'a',
  'b.default.svc.cluster.local',
  'c',
  'd.shop.svc.cluster.local',
  'x.example.com',
  '*.wild.example.com',
];
export const GATEWAY_HOSTS: readonly string[] = ['one.example.com', '*.two.example.com', 'three.example.com'];

export class TrafficDraw {
  readonly #draw: Draw;
  #names = 0;
  #byClaims = false;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  /** One to four VirtualServices for different hosts, with their delegates. */
  virtualServices(binding: Binding): readonly Manifest[] {
    const draw = this.#draw;
    this.#byClaims = binding.byClaims;
    const hosts = binding.hosts.filter(() => draw.chance(0.7));
    const delegate = this.#name('delegate');
    const roots = hosts.map((host, i) => {
      const delegated = i === 0 && draw.chance(0.5) ? [this.#delegation(delegate)] : [];
      return virtualService(this.#name('vs'), {
        hosts: [host],
        gateways: binding.gateways,
        http: [...delegated, ...this.#rules(1 + draw.int(5))],
        tcp: this.#streams([{ port: 9000 }]),
        tls: this.#streams([{ port: 9443, sniHosts: [host] }]),
      });
    });
    // A delegate is bound nowhere itself.
    this.#byClaims = false;
    return [...roots, virtualService(delegate, { http: this.#rules(1 + draw.int(2)) })];
  }

  destinationRules(): readonly Manifest[] {
    const subsets = ['v1', 'v2', 'v3'].map((version) => ({ name: version, labels: { version } }));
    return ['a', 'b'].map((host) => networking('DestinationRule', host, { host, subsets }));
  }

  serviceEntries(): readonly Manifest[] {
    const http = { number: 8080, name: 'http', protocol: 'HTTP' };
    const tls = { number: 9443, name: 'tls', protocol: 'TLS' };
    const known = {
      hosts: ['x.example.com'],
      addresses: [ENTRY_ADDRESS],
      ports: [http, tls],
      location: 'MESH_EXTERNAL',
      resolution: this.#draw.one(['STATIC', 'DNS']),
      endpoints: [{ address: ENTRY_POD, ports: { http: 7001, tls: 7002 } }],
    };
    const wild = {
      hosts: ['*.wild.example.com'],
      ports: [http, tls],
      location: 'MESH_EXTERNAL',
      resolution: 'NONE',
    };
    const entries = [networking('ServiceEntry', 'x', known), networking('ServiceEntry', 'wild', wild)];
    return entries.filter(() => this.#draw.chance(0.8));
  }

  sidecars(): readonly Manifest[] {
    if (!this.#draw.chance(0.25)) return [];
    const hosts = this.#draw.one([
      ['./*'],
      ['shop/*', './a.default.svc.cluster.local'],
      ['*/b.default.svc.cluster.local'],
    ]);
    return [networking('Sidecar', 'scope', { egress: [{ hosts }] })];
  }

  /** One gateway with servers of all sorts. */
  gateways(): readonly Manifest[] {
    const draw = this.#draw;
    const servers: Plain[] = [
      {
        port: { number: 8080, name: 'http', protocol: 'HTTP' },
        hosts: draw.one([['*'], ['one.example.com', '*.two.example.com'], GATEWAY_HOSTS]),
        ...(draw.chance(0.25) ? { tls: { httpsRedirect: true } } : {}),
      },
      ...['one.example.com', '*.two.example.com'].map((host, i) => ({
        port: { number: 8443, name: `https-${i}`, protocol: 'HTTPS' },
        hosts: [host],
        tls: { mode: draw.one(['SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL']), credentialName: `credential-${i}` },
      })),
      {
        port: { number: 8444, name: 'https-mesh', protocol: 'HTTPS' },
        hosts: ['*'],
        tls: { mode: 'ISTIO_MUTUAL' },
      },
      {
        port: { number: 9443, name: 'tls', protocol: 'TLS' },
        hosts: ['*.two.example.com', 'one.example.com'],
        tls: { mode: 'PASSTHROUGH' },
      },
      { port: { number: 9000, name: 'tcp', protocol: 'TCP' }, hosts: ['*'] },
    ];
    return [networking('Gateway', 'gate', { selector: { istio: 'gw' }, servers })];
  }

  #rules(count: number): readonly Plain[] {
    return Array.from({ length: count }, (_rule, i) => this.#rule(i === count - 1 && this.#draw.chance(0.4)));
  }

  #rule(takesAll: boolean): Plain {
    const draw = this.#draw;
    const match = Array.from({ length: takesAll ? 0 : draw.one([1, 1, 2]) }, () => this.#match());
    const rule = { name: this.#name('r'), ...(match.length === 0 ? {} : { match }) };
    const faulty = draw.chance(0.4) ? { fault: this.#fault() } : {};
    const kind = draw.one(['route', 'route', 'route', 'redirect', 'answer']);
    if (kind === 'redirect') {
      const takesPrefixes =
        match.length > 0 && match.every(({ uri }) => (uri as Plain | undefined)?.['prefix'] !== undefined);
      return { ...rule, redirect: this.#redirect(takesPrefixes) };
    }
    if (kind === 'answer') {
      const directResponse = {
        status: draw.one([200, 418, 503]),
        ...draw.some(0.5, { body: { string: 'direct' } }),
      };
      return { ...rule, directResponse };
    }
    return { ...rule, ...faulty, route: this.#destinations(), ...this.#options() };
  }

  #match(): Plain {
    const draw = this.#draw;
    const claim = { '@request.auth.claims.groups': { exact: 'dev' } };
    const header = (): Plain =>
      this.#byClaims && draw.chance(0.4)
        ? claim
        : { [draw.one(['end-user', 'x-b'])]: draw.one(HEADER_MATCHES).match };
    const uri = draw.one(URI_MATCHES).match;
    const match = draw.some(0.25, {
      headers: header(),
      withoutHeaders: { 'x-not': draw.one(HEADER_MATCHES).match },
      queryParams: { q: draw.one(QUERY_MATCHES).match },
      method: draw.one(METHOD_MATCHES).match,
      scheme: { exact: draw.one(['http', 'http', 'https']) },
      port: draw.one([8080, 8080, 9100, 8443]),
      sourceLabels: { version: draw.one(['v1', 'v2']) },
    });
    const folds = uri.regex === undefined && draw.chance(0.2) ? { ignoreUriCase: true } : {};
    return { ...match, ...(draw.chance(0.8) ? { uri, ...folds } : {}) };
  }

  #destinations(): readonly Plain[] {
    const draw = this.#draw;
    if (draw.chance(0.6)) return [{ destination: this.#destination(), ...this.#headerOperations() }];
    const weight = draw.one([0, 10, 50, 75]);
    return [
      { destination: this.#destination(), weight, ...this.#headerOperations() },
      { destination: this.#destination(), weight: 100 - weight, ...this.#headerOperations() },
    ];
  }

  #destination(): Plain {
    const host = this.#draw.one(['a', 'a', 'a', 'b', 'c', 'd.shop.svc.cluster.local', 'ghost', 'ghost']);
    const hasSubset = (host === 'a' || host === 'b') && this.#draw.chance(0.4);
    return {
      host,
      port: { number: 8080 },
      ...(hasSubset ? { subset: this.#draw.one(['v1', 'v2', 'v3', 'none']) } : {}),
    };
  }

  #headerOperations(): Plain {
    const operations = {
      set: { 'x-set': '1', ...this.#draw.some(0.3, { ':authority': 'set.example.com' }) },
      add: { 'x-b': 'added' },
      remove: ['end-user'],
    };
    return this.#draw.chance(0.3) ? { headers: { request: this.#draw.some(0.5, operations) } } : {};
  }

  #options(): Plain {
    const draw = this.#draw;
    return {
      ...draw.some(0.5, { corsPolicy: this.#cors() }),
      ...draw.some(0.3, {
        rewrite: draw.one<Plain>([
          { uri: '/z' },
          { uri: '/' },
          { authority: 'z.example.com' },
          { uri: '/long/er/', authority: 'y.example.com' },
          { uriRegexRewrite: { match: '/(a|v)([^/]*)', rewrite: '/re\\2/\\1' } },
          { uriRegexRewrite: { match: 'x*', rewrite: '-' } },
        ]),
        timeout: '9s',
        retries: { attempts: 3, retryOn: 'connect-failure' },
        mirror: { host: 'b', port: { number: 8080 } },
        headers: { request: { set: { 'x-rule': '%%' } } },
      }),
    };
  }

  #cors(): Plain {
    const draw = this.#draw;
    return {
      allowOrigins: [
        draw.one([{ exact: 'https://ok.example.com' }, { regex: 'https://ok.*' }, { exact: '*' }]),
      ],
      allowMethods: ['GET'],
      ...draw.some(0.5, { unmatchedPreflights: draw.one(['IGNORE', 'FORWARD']) }),
    };
  }

  #fault(): Plain {
    const draw = this.#draw;
    const percentage = { value: draw.one([0, 50, 100, 100]) };
    const error = draw.one<Plain>([{ httpStatus: 418 }, { httpStatus: 503 }, { grpcStatus: 'UNAVAILABLE' }]);
    const abort = { ...error, percentage };
    return { abort, ...draw.some(0.2, { delay: { fixedDelay: '0.010s', percentage } }) };
  }

  #redirect(takesPrefixes: boolean): Plain {
    const draw = this.#draw;
    return {
      ...draw.one<Plain>([
        { uri: '/moved' },
        { uri: '/moved?fixed=1' },
        takesPrefixes ? { prefixRewrite: '/new' } : { uri: 'no-slash' },
        { authority: 'other.example.com' },
      ]),
      ...draw.some(0.4, {
        authority: 'moved.example.com',
        scheme: draw.one(['https', 'http']),
        redirectCode: draw.one([301, 302, 307, 308]),
        ...draw.one<Plain>([
          { port: 8443 },
          { derivePort: 'FROM_REQUEST_PORT' },
          { derivePort: 'FROM_PROTOCOL_DEFAULT' },
        ]),
      }),
    };
  }

  #streams(match: readonly Plain[]): readonly Plain[] {
    if (!this.#draw.chance(0.7)) return [];
    const to = (): Plain => ({
      host: this.#draw.one(['a', 'b', 'c', 'ghost', 'ghost']),
      port: { number: 9000 },
    });
    const route = this.#draw.chance(0.5)
      ? [{ destination: to() }]
      : [
          { destination: to(), weight: 40 },
          { destination: to(), weight: 60 },
        ];
    return [{ match, route }];
  }

  #delegation(name: string): Plain {
    return { match: [{ uri: { prefix: '/a' } }], delegate: { name, namespace: 'default' } };
  }

  #name(prefix: string): string {
    return `${prefix}${this.#names++}`;
  }
}

function virtualService(name: string, spec: Plain): Manifest {
  const filled = Object.entries(spec).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return networking('VirtualService', name, Object.fromEntries(filled));
}

function networking(kind: string, name: string, spec: Plain): Manifest {
  const metadata = { name, namespace: 'default', creationTimestamp: '2026-01-01T00:00:00Z' };
  return { apiVersion: 'networking.istio.io/v1', kind, metadata, spec };
}
