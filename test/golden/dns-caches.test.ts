/**
 * The filter that starts a look-up and the cluster that waits for its answer share a DNS cache by name. Envoy refuses
 * configuration that describes one cache in two ways, so for every kind of proxy there is one description per name.
 */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { meshFixture, type ProxyFacts } from '../support/mesh-fixture.ts';

const OBJECTS = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild}
spec:
  hosts: ['*.example.com']
  resolution: DYNAMIC_DNS
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
`;

type Plain = { readonly [name: string]: unknown };

/** Descriptions by the cache's name, each once. */
function cachesIn(value: unknown, found = new Map<string, Set<string>>()): Map<string, Set<string>> {
  if (typeof value !== 'object' || value === null) return found;
  const cache = (value as Plain)['dnsCacheConfig'] as Plain | undefined;
  if (cache !== undefined) {
    const name = String(cache['name']);
    found.set(name, (found.get(name) ?? new Set()).add(JSON.stringify(cache)));
  }
  for (const inner of Object.values(value)) cachesIn(inner, found);
  return found;
}

const V4 = '10.9.0.1';
const V6 = 'fd00::1';
const PROXIES: readonly (readonly [string, boolean, Partial<ProxyFacts>, object])[] = [
  ['IPv4', false, { addresses: [V4] }, { dnsLookupFamily: 'V4_ONLY' }],
  ['IPv6', false, { addresses: [V6] }, { dnsLookupFamily: 'V6_ONLY' }],
  ['both, one used', false, { addresses: [V4, V6] }, { dnsLookupFamily: 'V4_ONLY' }],
  ['both used', true, { addresses: [V4, V6] }, { dnsLookupFamily: 'ALL' }],
  [
    'its agent answers DNS',
    false,
    { addresses: [V4], dnsCapture: true },
    { dnsLookupFamily: 'V4_ONLY', resolver: ['127.0.0.1', 15_053] },
  ],
  [
    'its agent answers DNS at an address of its own',
    false,
    { addresses: [V4], dnsCapture: true, metadata: { DNS_PROXY_ADDR: '[::1]:5300' } },
    { dnsLookupFamily: 'V4_ONLY', resolver: ['::1', 5_300] },
  ],
  [
    'its agent answers DNS at a name, which Envoy could not ask for',
    false,
    { addresses: [V4], dnsCapture: true, metadata: { DNS_PROXY_ADDR: 'localhost:53' } },
    { dnsLookupFamily: 'V4_ONLY', resolver: ['127.0.0.1', 15_053] },
  ],
];

/** Family and resolver of a description. */
function shape(description: string): object {
  const { dnsLookupFamily = 'AUTO', typedDnsResolverConfig } = JSON.parse(description);
  const at = typedDnsResolverConfig?.typedConfig.resolvers[0].socketAddress;
  return { dnsLookupFamily, ...(at === undefined ? {} : { resolver: [at.address, at.portValue] }) };
}

for (const [what, dualStack, facts, expected] of PROXIES) {
  test(`one description of each DNS cache: ${what}`, () => {
    const fixture = meshFixture({ flags: { ...DEFAULT_MESH_FLAGS, dualStack, unknownHostsLimit: 77 } });
    fixture.apply(OBJECTS);
    fixture.configure({ outboundTrafficPolicy: { mode: 'ALLOW_ANY_DYNAMIC_DNS' } });
    fixture.connect({ name: 'client', ...facts });
    const { clusters, listeners } = fixture.snapshot('client');
    const caches = cachesIn([clusters, listeners]);
    deepStrictEqual([...caches.keys()].sort(), ['*.example.com_dfp_dns_cache', 'allow_any_dfp_dns_cache']);
    for (const [name, descriptions] of caches) deepStrictEqual(descriptions.size, 1, name);
    const [unknown = ''] = caches.get('allow_any_dfp_dns_cache') ?? [];
    deepStrictEqual(shape(unknown), expected);
    strictEqual(JSON.parse(unknown).maxHosts, 77);
  });
}
