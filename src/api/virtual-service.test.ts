/** Rules of VirtualServices, one row each: a spec in YAML, and the codes with paths that validation gives. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { decodeObject } from './decode-object.ts';
import { kindInfo } from './kind-registry.ts';
import { parseDocuments } from './yaml-documents.ts';

type Row = readonly [name: string, spec: string, ...findings: string[]];

/** Findings as `CODE path`, the path without `spec.`. */
function findingsOf(kind: string, spec: string): readonly string[] {
  const info = kindInfo(kind);
  const apiVersion = info?.group === '' ? 'v1' : `${info?.group}/${info?.versions[0]}`;
  const [document] = parseDocuments(spec, 'spec.yaml');
  const json = { apiVersion, kind, metadata: { name: 'x', labels: { app: 'x' } }, spec: document?.value };
  const { diagnostics } = decodeObject(json, { defaultNamespace: 'default' });
  return diagnostics.map((diagnostic) =>
    `${diagnostic.code} ${(diagnostic.path ?? '').replace(/^spec\.?/, '')}`.trim(),
  );
}

const ROWS: Readonly<Record<string, readonly Row[]>> = {
  VirtualService: [
    [
      'a plain route is fine',
      'hosts: [reviews]\nhttp: [{route: [{destination: {host: reviews, subset: v1}}]}]',
    ],
    ['a delegate has no hosts', 'http: [{route: [{destination: {host: reviews}}]}]'],
    [
      'a delegate cannot name gateways',
      'gateways: [g]\nhttp: [{route: [{destination: {host: a}}]}]',
      'LTN2037 gateways',
    ],
    ['some route is needed', 'hosts: [a]', 'LTN2039'],
    ['* needs a gateway', 'hosts: ["*"]\nhttp: [{route: [{destination: {host: a}}]}]', 'LTN2002 hosts[0]'],
    ['* at a gateway is fine', 'hosts: ["*"]\ngateways: [g]\nhttp: [{route: [{destination: {host: a}}]}]'],
    [
      'hosts must not overlap',
      'hosts: ["*.a.com", b.a.com]\nhttp: [{route: [{destination: {host: a}}]}]',
      'LTN2006 hosts[1]',
    ],
    ['a host is a DNS name', 'hosts: [a_b]\nhttp: [{route: [{destination: {host: a}}]}]', 'LTN2001 hosts[0]'],
    ['an IP address may be a host', 'hosts: [10.1.2.3]\nhttp: [{route: [{destination: {host: a}}]}]'],
    [
      'weights of 0 lead nowhere',
      'hosts: [a]\nhttp: [{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}}]}]',
      'LTN2101 http[0].route',
    ],
    [
      'a negative weight',
      'hosts: [a]\nhttp: [{route: [{destination: {host: a}, weight: -1}]}]',
      'LTN2033 http[0].route[0].weight',
    ],
    ['a route needs a destination', 'hosts: [a]\nhttp: [{route: [{weight: 1}]}]', 'LTN1012 http[0].route[0]'],
    [
      'route and redirect exclude each other',
      'hosts: [a]\nhttp: [{redirect: {uri: /x}, route: [{destination: {host: a}}]}]',
      'LTN2038 http[0]',
    ],
    ['an empty redirect', 'hosts: [a]\nhttp: [{redirect: {redirectCode: 301}}]', 'LTN2039 http[0].redirect'],
    [
      'a redirect code is 3xx',
      'hosts: [a]\nhttp: [{redirect: {uri: /x, redirectCode: 404}}]',
      'LTN2032 http[0].redirect.redirectCode',
    ],
    [
      'a direct response needs a status',
      'hosts: [a]\nhttp: [{directResponse: {}}]',
      'LTN2055 http[0].directResponse.status',
    ],
    [
      'a timeout below a millisecond',
      'hosts: [a]\nhttp: [{timeout: 10us, route: [{destination: {host: a}}]}]',
      'LTN2030 http[0].timeout',
    ],
    [
      'retries that are switched off',
      'hosts: [a]\nhttp: [{retries: {perTryTimeout: 1s}, route: [{destination: {host: a}}]}]',
      'LTN2037 http[0].retries.perTryTimeout',
    ],
    [
      'a retry condition is misspelled',
      'hosts: [a]\nhttp: [{retries: {attempts: 1, retryOn: "5xx,conect-failure,503"}, route: [{destination: {host: a}}]}]',
      'LTN2057 http[0].retries.retryOn',
    ],
    [
      'a regular expression with lookahead, which RE2 refuses (T36)',
      'hosts: [a]\nhttp: [{match: [{uri: {regex: "(?=x)"}}], route: [{destination: {host: a}}]}]',
      'LTN2053 http[0].match[0].uri.regex',
    ],
    [
      'a regular expression with a backreference, which RE2 refuses (T36)',
      'hosts: [a]\nhttp: [{match: [{uri: {regex: "(a)\\\\1"}}], route: [{destination: {host: a}}]}]',
      'LTN2053 http[0].match[0].uri.regex',
    ],
    [
      'an empty prefix matches paths but not headers',
      'hosts: [a]\nhttp: [{match: [{uri: {prefix: ""}, headers: {x: {prefix: ""}}}], route: [{destination: {host: a}}]}]',
      'LTN2054 http[0].match[0].headers.x.prefix',
    ],
    [
      'JWT claims are matched at gateways only',
      'hosts: [a]\nhttp: [{match: [{headers: {"@request.auth.claims.sub": {exact: x}}}], route: [{destination: {host: a}}]}]',
      'LTN2102 http[0].match[0].headers',
    ],
    [
      'the authority is set once',
      'hosts: [a]\nhttp: [{rewrite: {authority: b}, headers: {request: {set: {Host: c}}}, route: [{destination: {host: a}}]}]',
      'LTN2059 http[0].headers.request',
    ],
    [
      'responses have no authority',
      'hosts: [a]\nhttp: [{headers: {response: {set: {":authority": c}}}, route: [{destination: {host: a}}]}]',
      'LTN2051 http[0].headers.response.set[":authority"]',
    ],
    [
      'a header value with an open command',
      'hosts: [a]\nhttp: [{headers: {request: {add: {x: "%START_TIME"}}}, route: [{destination: {host: a}}]}]',
      'LTN2052 http[0].headers.request.add.x',
    ],
    [
      'what Envoy has no redirect for',
      'hosts: [a]\nhttp: [{redirect: {uri: /x, redirectCode: 304}}]',
      'LTN2034 http[0].redirect.redirectCode',
    ],
    [
      'line breaks in what becomes a header',
      'hosts: [a]\nhttp: [{rewrite: {uri: "/a\\nb", authority: "c\\rd"}, headers: {request: {set: {"e\\nf": x}, remove: ["g\\nh"]}}, route: [{destination: {host: a}}]}]',
      'LTN2050 http[0].headers.request.set["e\\nf"]',
      'LTN2050 http[0].headers.request.remove[0]',
      'LTN2034 http[0].rewrite.uri',
      'LTN2034 http[0].rewrite.authority',
    ],
    [
      'a query parameter without a name',
      'hosts: [a]\nhttp: [{match: [{queryParams: {"": {exact: x}}}], route: [{destination: {host: a}}]}]',
      'LTN2035 http[0].match[0].queryParams[""]',
    ],
    [
      'weights beyond 32 bits, and negative ones',
      'hosts: [a]\nhttp: [{route: [{destination: {host: a}, weight: 2147483647}, {destination: {host: b}, weight: 2147483647}, {destination: {host: c}, weight: 2147483647}]}, {match: [{port: 1}], route: [{destination: {host: a}, weight: -1}, {destination: {host: b}, weight: 2}]}]',
      'LTN2032 http[0].route',
      'LTN2033 http[1].route[0].weight',
      'IST0130 http[1]',
    ],
    [
      'a fault without content',
      'hosts: [a]\nhttp: [{fault: {}, route: [{destination: {host: a}}]}]',
      'LTN2039 http[0].fault',
    ],
    [
      'a fault percentage',
      'hosts: [a]\nhttp: [{fault: {abort: {httpStatus: 500, percentage: {value: 101}}}, route: [{destination: {host: a}}]}]',
      'LTN2032 http[0].fault.abort.percentage.value',
    ],
    [
      'CORS origins are not empty',
      'hosts: [a]\nhttp: [{corsPolicy: {allowOrigins: [{exact: ""}], allowMethods: [get]}, route: [{destination: {host: a}}]}]',
      'LTN2054 http[0].corsPolicy.allowOrigins[0]',
      'LTN2058 http[0].corsPolicy.allowMethods[0]',
    ],
    [
      'the second rule without match is never used',
      'hosts: [a]\nhttp: [{route: [{destination: {host: a}}]}, {route: [{destination: {host: b}}]}]',
      'IST0130 http[1]',
    ],
    [
      'a longer prefix behind a shorter one',
      'hosts: [a]\nhttp: [{match: [{uri: {prefix: /a}}], route: [{destination: {host: a}}]}, {match: [{uri: {prefix: /a/b}}], route: [{destination: {host: b}}]}]',
      'IST0131 http[1].match[0]',
    ],
    [
      'SNI hosts lie within hosts',
      'hosts: [a.com]\ntls: [{match: [{sniHosts: [b.com]}], route: [{destination: {host: a}}]}]',
      'LTN2103 tls[0].match[0].sniHosts[0]',
    ],
    [
      'TCP needs a route',
      'hosts: [a]\ntcp: [{match: [{port: 70000}]}]',
      'LTN2011 tcp[0].match[0].port',
      'LTN1012 tcp[0]',
    ],
    [
      'a gateway by its old name',
      'hosts: [a]\ngateways: [g.ns.svc]\nhttp: [{route: [{destination: {host: a}}]}]',
      'LTN2105 gateways[0]',
    ],
    [
      'a bad gateway name',
      'hosts: [a]\ngateways: [ns/]\nhttp: [{route: [{destination: {host: a}}]}]',
      'LTN2106 gateways[0]',
    ],
    [
      'exportTo: everybody and somebody',
      'hosts: [a]\nexportTo: ["*", b]\nhttp: [{route: [{destination: {host: a}}]}]',
      'LTN2016 exportTo',
    ],
  ],
};

for (const [kind, rows] of Object.entries(ROWS)) {
  for (const [name, spec, ...expected] of rows) {
    test(`${kind}: ${name}`, () => {
      deepStrictEqual(findingsOf(kind, spec), expected);
    });
  }
}
