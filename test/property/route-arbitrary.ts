/** Random routing: VirtualServices (roots, delegates, wildcards, HTTP, TLS, TCP) and Gateways. */
import fc from 'fast-check';
import {
  exportTo,
  few,
  host,
  istioManifests,
  type Manifest,
  name,
  namespace,
  plainHost,
  portNumber,
  selector,
  some,
} from './mesh-names.ts';
import { credentialName } from './secret-arbitrary.ts';

const gatewayName = fc.constantFrom('mesh', 'a', 'default/a', 'istio-system/b');

const destination = fc
  .tuple(
    plainHost,
    some({ subset: fc.constantFrom('v1', 'v2'), port: portNumber.map((number) => ({ number })) }),
  )
  .map(([target, rest]) => ({ host: target, ...rest }));

const headerOperations = fc.constantFrom(
  { request: { set: { 'x-a': '1' } } },
  { request: { add: { 'x-a': '2' }, remove: ['x-b'] }, response: { set: { 'x-c': '3' } } },
);

/** Weights of 100 together. */
const weighted = fc.oneof(
  destination.map((one) => [{ destination: one }]),
  fc
    .tuple(destination, destination, fc.constantFrom(0, 20, 50), fc.option(headerOperations))
    .map(([x, y, weight, headers]) => [
      { destination: x, weight, ...(headers === null ? {} : { headers }) },
      { destination: y, weight: 100 - weight },
    ]),
);

const stringMatch = fc.constantFrom({ exact: '/a' }, { prefix: '/a' }, { regex: '/[ab]+' }, { prefix: '/' });
const httpMatch = some({
  uri: stringMatch,
  headers: fc.constantFrom({ 'end-user': { exact: 'jason' } }, { 'x-b': { regex: 'v[0-9]' } }),
  method: fc.constant({ exact: 'GET' }),
  port: portNumber,
  sourceLabels: selector,
  sourceNamespace: namespace,
  gateways: few(gatewayName, 1),
  queryParams: fc.constant({ q: { exact: '1' } }),
  ignoreUriCase: fc.boolean(),
}).filter((match) => match.ignoreUriCase !== true || match.uri?.regex === undefined);
const matches = fc.array(httpMatch, { maxLength: 2 });

const fault = fc.constantFrom(
  { delay: { fixedDelay: '7s', percentage: { value: 100 } } },
  { abort: { httpStatus: 500, percentage: { value: 50 } } },
);

const routeOptions = some({
  timeout: fc.constantFrom('1s', '10s'),
  retries: fc.constantFrom({ attempts: 0 }, { attempts: 3, perTryTimeout: '2s', retryOn: '5xx' }),
  fault,
  rewrite: fc.constantFrom({ uri: '/z' }, { authority: 'z.example.com' }),
  mirror: destination,
  mirrorPercentage: fc.constant({ value: 10 }),
  headers: headerOperations,
  corsPolicy: fc.constant({
    allowOrigins: [{ exact: 'https://x.example.com' }],
    allowMethods: ['GET'],
    maxAge: '24h',
  }),
});

const forwarding = fc
  .tuple(matches, weighted, routeOptions)
  .map(([match, route, options]) => ({ match, route, ...options }));
const redirecting = matches.map((match) => ({ match, redirect: { uri: '/moved', redirectCode: 302 } }));
const answering = matches.map((match) => ({
  match,
  directResponse: { status: 418, body: { string: 'tea' } },
}));
const delegating = fc.tuple(name, fc.option(namespace), fc.option(stringMatch)).map(([to, of, uri]) => ({
  match: uri === null || uri.regex !== undefined ? [] : [{ uri }],
  delegate: { name: to, ...(of === null ? {} : { namespace: of }) },
}));

const ownRoute = fc.oneof(
  { weight: 5, arbitrary: forwarding },
  { weight: 1, arbitrary: redirecting },
  { weight: 1, arbitrary: answering },
);
const rootRoute = fc.oneof({ weight: 4, arbitrary: ownRoute }, { weight: 2, arbitrary: delegating });

const tlsRoutes = fc
  .tuple(few(plainHost.filter((text) => text.includes('.'))), weighted, some({ sourceLabels: selector }))
  .map(([sniHosts, route, rest]) => [
    {
      match: [{ port: 443, sniHosts, ...rest }],
      route: route.map(({ destination: to, ...rest }) => ({
        destination: to,
        ...('weight' in rest ? { weight: rest.weight } : {}),
      })),
    },
  ]);
const tcpMatch = some({
  port: portNumber,
  sourceLabels: selector,
  sourceNamespace: namespace,
  destinationSubnets: fc.constantFrom(['10.3.0.0/16'], ['10.3.0.0/16', '10.4.0.1']),
  gateways: few(gatewayName, 1),
});
const tcpRoutes = fc.tuple(few(tcpMatch), weighted).map(([match, route]) => [
  {
    match,
    route: route.map(({ destination: to, ...rest }) => ({
      destination: to,
      ...('weight' in rest ? { weight: rest.weight } : {}),
    })),
  },
]);

const http = fc.array(rootRoute, { minLength: 1, maxLength: 3 });
const root = fc
  .tuple(few(host), some({ gateways: few(gatewayName), exportTo, tcp: tcpRoutes }), http)
  .map(([hosts, rest, routes]) => ({ hosts, ...rest, http: routes }));
const streams = fc
  .tuple(few(plainHost), some({ gateways: few(gatewayName), exportTo }), fc.oneof(tlsRoutes, tcpRoutes))
  .map(([hosts, rest, routes]) => {
    const isTls = routes.some(({ match }) => match.some((one) => 'sniHosts' in one));
    // The server names of a route must be within the object's hosts.
    const names = routes.flatMap(({ match }) =>
      match.flatMap((one) => ('sniHosts' in one ? (one.sniHosts as string[]) : [])),
    );
    return {
      hosts: isTls ? [...new Set(names)] : hosts,
      ...rest,
      ...(isTls ? { tls: routes } : { tcp: routes }),
    };
  });
const delegate = fc.array(ownRoute, { minLength: 1, maxLength: 2 }).map((routes) => ({
  http: routes.map((route) => ({
    ...route,
    match: route.match.filter((match) => match.gateways === undefined),
  })),
}));

const virtualService = istioManifests(
  'networking',
  'VirtualService',
  fc.oneof(
    { weight: 5, arbitrary: root },
    { weight: 2, arbitrary: delegate },
    { weight: 1, arbitrary: streams },
  ),
);

const serverHosts = few(
  fc.constantFrom(
    '*',
    'x.example.com',
    '*.example.com',
    './y.example.com',
    'shop/*',
    'a.default.svc.cluster.local',
  ),
);
const https = { port: { number: 443, name: 'https', protocol: 'HTTPS' } };
const withCredential = fc
  .tuple(fc.constantFrom('SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL'), few(credentialName))
  .map(([mode, names]) => ({
    ...https,
    tls: { mode, ...(names.length === 1 ? { credentialName: names[0] } : { credentialNames: names }) },
  }));
const server = fc.tuple(
  serverHosts,
  fc.oneof(
    withCredential,
    fc.constantFrom(
      { port: { number: 80, name: 'http', protocol: 'HTTP' } },
      { port: { number: 8080, name: 'http-alt', protocol: 'HTTP' }, tls: { httpsRedirect: true } },
      { port: { number: 443, name: 'tls', protocol: 'TLS' }, tls: { mode: 'PASSTHROUGH' } },
      { port: { number: 8443, name: 'https-mesh', protocol: 'HTTPS' }, tls: { mode: 'ISTIO_MUTUAL' } },
      { port: { number: 15443, name: 'tls-auto', protocol: 'TLS' }, tls: { mode: 'AUTO_PASSTHROUGH' } },
      { port: { number: 3306, name: 'tcp', protocol: 'TCP' } },
    ),
  ),
);
const servers = fc
  .uniqueArray(server, { minLength: 1, maxLength: 3, selector: ([, { port }]) => port.name })
  .map((list) => list.map(([hosts, rest]) => ({ ...rest, hosts })));

const gateway = istioManifests(
  'networking',
  'Gateway',
  fc
    .tuple(fc.constantFrom({ istio: 'ingressgateway' }, { istio: 'egressgateway' }, {}), servers)
    .map(([chosen, list]) => ({ selector: chosen, servers: list })),
);

/** Objects of one kind each, with how often they are drawn. */
export const ROUTE_KINDS: readonly (readonly [number, fc.Arbitrary<Manifest>])[] = [
  [10, virtualService],
  [4, gateway],
];
