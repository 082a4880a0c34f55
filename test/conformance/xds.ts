/**
 * Suite xds: what each proxy of a case gets, resource by resource and field by field, against what the real istiod generates.
 * Order counts where Envoy sees it (routes, filters, chains); virtual hosts go by name, endpoints and localities by content.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DescMessage, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { ClusterLoadAssignmentSchema } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { NameTableSchema } from '#proto/istio/networking/nds/v1/nds_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { meshFixture, SNAPSHOT_PARTS, type SnapshotPart } from '../support/mesh-fixture.ts';
import { type CaseInputs, CORPUS, caseFolders, readCase } from './case-inputs.ts';
import { findDifferences, isPlain, sortedJson } from './difference.ts';
import type { CaseContext, ConformanceCase, Suite } from './suite.ts';
import { normal, normalExpected } from './xds-comparison.ts';

type Plain = Readonly<Record<string, unknown>>;

const SCHEMAS: Readonly<Record<SnapshotPart, DescMessage>> = {
  clusters: ClusterSchema,
  endpoints: ClusterLoadAssignmentSchema,
  listeners: ListenerSchema,
  routes: RouteConfigurationSchema,
  nameTable: NameTableSchema,
  extensions: TypedExtensionConfigSchema,
};
/** What the corpus calls a part, where that is another name. */
const CORPUS_NAMES: Readonly<Partial<Record<SnapshotPart, string>>> = {
  nameTable: 'nametable',
  extensions: 'ecds',
};

/** Parts that the corpus writes as Any. */
const WITH_TYPE: ReadonlySet<SnapshotPart> = new Set(['nameTable', 'extensions']);

/** A proxy has one table at most. */
const NAME_TABLE = 'name-table';

export const XDS: Suite = {
  name: 'xds',
  missing: ['multicluster', 'gateway-api', 'ambient', 'telemetry'],
  cases: (dir) => caseFolders(dir).map((folder) => caseOf(readCase(folder))),
};

function caseOf(inputs: CaseInputs): ConformanceCase {
  const { name, tags, needs } = inputs;
  return { name, tags, needs, run: (context) => compare(inputs, context) };
}

function compare(inputs: CaseInputs, context: CaseContext): readonly string[] {
  const fixture = meshFixture(CORPUS);
  fixture.mesh.meshConfig.set('mesh', inputs.meshConfig);
  fixture.mesh.meshNetworks.set('mesh', inputs.meshNetworks);
  fixture.set(...inputs.objects);
  for (const proxy of inputs.proxies) fixture.connect({ ...proxy, asks: { nameTable: true } });
  fixture.settle();
  const found: string[] = [];
  for (const { name } of inputs.proxies) {
    const file = join(inputs.folder, 'expected', `${name}.json`);
    const expected = existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, readonly Plain[]>>)
      : {};
    const snapshot = fixture.snapshot(name);
    const asked = {
      ...snapshot,
      endpoints: pick(snapshot.endpoints, askedAssignments(snapshot.clusters)),
      routes: pick(snapshot.routes, askedRoutes(snapshot.listeners)),
      extensions: pick(snapshot.extensions, askedExtensions(snapshot.listeners)),
    };
    context.dump(inputs.name, name, inCorpusForm(asked));
    for (const part of SNAPSHOT_PARTS) {
      const differences = compareParts(part, expected[keyOf(part)] ?? [], asked[part], context);
      found.push(...differences.map((difference) => `${name} ${part} ${difference}`));
    }
  }
  return found;
}

/** As the corpus calls a part. */
function keyOf(part: SnapshotPart): string {
  return CORPUS_NAMES[part] ?? part;
}

/** What a client got, as the corpus writes it: field names of the messages, sorted by name, only what is not empty. */
function inCorpusForm(asked: Readonly<Record<SnapshotPart, Readonly<Record<string, Plain>>>>): Plain {
  const registry = envoyRegistry();
  const parts = SNAPSHOT_PARTS.map((part) => {
    const schema = SCHEMAS[part];
    const type = WITH_TYPE.has(part) ? { '@type': `type.googleapis.com/${schema.typeName}` } : {};
    const resources = Object.entries(asked[part])
      .filter(([, resource]) => !isEmpty(part, resource))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, resource]) => {
        const message = fromJson(schema, resource as JsonValue, { registry });
        return { ...type, ...(toJson(schema, message, { registry, useProtoFieldName: true }) as Plain) };
      });
    return [keyOf(part), resources] as const;
  });
  return Object.fromEntries(parts.filter(([, resources]) => resources.length > 0));
}

/** A client asks for the endpoints of its clusters of type EDS. */
function askedAssignments(clusters: Readonly<Record<string, Plain>>): ReadonlySet<string> {
  const asking = Object.values(clusters).filter((cluster) => cluster['type'] === 'EDS');
  return new Set(
    asking.map((cluster) => {
      const config = cluster['edsClusterConfig'] as { readonly serviceName?: string } | undefined;
      return config?.serviceName ?? String(cluster['name']);
    }),
  );
}

/** A client asks for the route configurations that its listeners name, and for no others. */
function askedRoutes(listeners: Readonly<Record<string, Plain>>): ReadonlySet<string> {
  const text = sortedJson(listeners);
  return new Set([...text.matchAll(/"routeConfigName":"([^"]*)"/g)].map((match) => match[1] ?? ''));
}

/** The same for configurations of extensions. */
function askedExtensions(listeners: Readonly<Record<string, Plain>>): ReadonlySet<string> {
  const text = sortedJson(listeners);
  return new Set(
    [...text.matchAll(/"typeUrls":\[[^\]]*\]\},"name":"([^"]*)"/g)].map((match) => match[1] ?? ''),
  );
}

function pick(
  resources: Readonly<Record<string, Plain>>,
  names: ReadonlySet<string>,
): Readonly<Record<string, Plain>> {
  return Object.fromEntries(Object.entries(resources).filter(([name]) => names.has(name)));
}

function compareParts(
  part: SnapshotPart,
  expected: readonly Plain[],
  generated: Readonly<Record<string, Plain>>,
  context: CaseContext,
): readonly string[] {
  const found: string[] = [];
  const left = new Map(Object.entries(generated));
  for (const { '@type': _type, ...json } of expected) {
    const name = String(json['name'] ?? json['cluster_name'] ?? NAME_TABLE);
    const own = left.get(name);
    left.delete(name);
    if (own === undefined) found.push(`${name}: missing`);
    else {
      const want = arranged(part, normalExpected(SCHEMAS[part], json, context));
      findDifferences(name, want, arranged(part, normal(own, context) as Plain), found);
    }
  }
  for (const [name, own] of left) if (!isEmpty(part, own)) found.push(`${name}: not expected`);
  return found;
}

/** The corpus has only what is not empty. */
function isEmpty(part: SnapshotPart, resource: Plain): boolean {
  if (part === 'routes') return listOf(resource['virtualHosts']).length === 0;
  if (part === 'nameTable') return Object.keys((resource['table'] ?? {}) as Plain).length === 0;
  if (part !== 'endpoints') return false;
  return listOf(resource['endpoints']).every(
    (locality) => listOf((locality as Plain)['lbEndpoints']).length === 0,
  );
}

/** What has no order as an object by name, or sorted. */
function arranged(part: SnapshotPart, resource: Plain): Plain {
  if (part === 'routes') {
    const hosts = listOf(resource['virtualHosts']).map(
      (host) => [String((host as Plain)['name']), host] as const,
    );
    return { ...resource, virtualHosts: Object.fromEntries(hosts) };
  }
  if (part === 'nameTable') return { table: sortedIps((resource['table'] ?? {}) as Plain) };
  if (part !== 'endpoints') return resource;
  const localities = listOf(resource['endpoints'])
    .filter(isPlain)
    .map((locality) => ({ ...locality, lbEndpoints: sorted(listOf(locality['lbEndpoints'])) }));
  return { ...resource, endpoints: sorted(localities) };
}

/** Agents shuffle the addresses of a name anyway. */
function sortedIps(table: Plain): Plain {
  const names = Object.entries(table).map(([name, info]) => {
    const { ips, ...rest } = info as Plain;
    return [name, { ...rest, ips: sorted(listOf(ips)) }] as const;
  });
  return Object.fromEntries(names);
}

function sorted(values: readonly unknown[]): readonly unknown[] {
  return values.toSorted((a, b) => (sortedJson(a) < sortedJson(b) ? -1 : 1));
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
