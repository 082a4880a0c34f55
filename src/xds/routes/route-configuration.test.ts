import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { Interner } from '#collections/interner.ts';
import {
  type Route,
  RouteSchema,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { encodeCanonical } from '#xds/encode.ts';
import { encodeRoute } from './encoded-route.ts';
import { internHosts } from './host-shard.ts';
import { composeRouteConfiguration, internRouteConfiguration } from './route-configuration.ts';
import { encodeVirtualHost, replaceDomains } from './virtual-host.ts';

interface HostModel {
  readonly name: string;
  readonly domains: readonly string[];
  readonly paths: readonly string[];
  readonly requireTls: boolean;
  readonly includeAttemptCount: boolean;
}

const HOST: fc.Arbitrary<HostModel> = fc.record({
  name: fc.string({ minLength: 1, maxLength: 300, unit: 'grapheme' }),
  domains: fc.array(fc.string({ minLength: 1, unit: 'grapheme' }), { minLength: 1, maxLength: 8 }),
  paths: fc.array(fc.string({ maxLength: 200 }), { maxLength: 5 }),
  requireTls: fc.boolean(),
  includeAttemptCount: fc.boolean(),
});

/** Made anew each time: encoding takes messages over. */
function routes(host: HostModel): Route[] {
  return host.paths.map((path) =>
    create(RouteSchema, {
      match: { pathSpecifier: { case: 'prefix', value: path } },
      action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: path } } },
    }),
  );
}

function encoded(host: HostModel) {
  const domains = { domains: host.domains, addressCount: 0, alternates: [], isClusterName: false };
  return encodeVirtualHost(host.name, domains, { ...host, routes: routes(host).map(encodeRoute) });
}

function encodedWhole(name: string, ignorePort: boolean, hosts: readonly HostModel[]): Uint8Array {
  const virtualHosts = hosts.map((host) =>
    create(VirtualHostSchema, {
      name: host.name,
      domains: [...host.domains],
      routes: routes(host),
      requireTls: host.requireTls ? VirtualHost_TlsRequirementType.ALL : VirtualHost_TlsRequirementType.NONE,
      includeRequestAttemptCount: host.includeAttemptCount,
    }),
  );
  const message = create(RouteConfigurationSchema, {
    name,
    virtualHosts,
    validateClusters: false,
    maxDirectResponseBodySizeBytes: 1024 * 1024,
    ignorePortInHostMatching: ignorePort,
  });
  return encodeCanonical(RouteConfigurationSchema, message);
}

test('a composed table equals the full encoding of the same message, byte for byte', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.boolean(),
      fc.array(HOST, { maxLength: 6 }),
      fc.nat(6),
      (name, ignorePort, hosts, at) => {
        const interner = new Interner();
        const records = hosts.map(encoded);
        const parts = [internHosts(interner, records.slice(0, at)), internHosts(interner, records.slice(at))];
        const composed = composeRouteConfiguration({ name, ignorePort, hosts: parts });
        deepStrictEqual(new Uint8Array(composed), encodedWhole(name, ignorePort, hosts));
      },
    ),
    { numRuns: 60 },
  );
});

test('a virtual host under other domains equals one made with them', () => {
  fc.assert(
    fc.property(HOST, HOST, (host, other) => {
      const { domains } = other;
      deepStrictEqual(replaceDomains(encoded(host), domains).record, encoded({ ...host, domains }).record);
    }),
    { numRuns: 60 },
  );
});

const ONE: HostModel = {
  name: 'a:80',
  domains: ['a'],
  paths: ['/'],
  requireTls: false,
  includeAttemptCount: true,
};

test('equal content is one resource, other content has another version', () => {
  const interner = new Interner();
  const table = (path: string) => {
    const hosts = [internHosts(interner, [encoded({ ...ONE, paths: [path] })])];
    return internRouteConfiguration(interner, { name: '80', ignorePort: true, hosts });
  };
  const [first, again, other] = [table('/'), table('/'), table('/x')];
  deepStrictEqual(
    [first === again, first.version === other.version, first.references, other.references],
    [true, false, ['/'], ['/x']],
  );
});
