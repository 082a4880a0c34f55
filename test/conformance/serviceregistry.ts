/**
 * Suite serviceregistry: which services and endpoints the model knows after reading the inputs of the xds case of the same
 * name. Ignored, as its README permits: order, health 0 against 1, Kubernetes services without ports, `name` (part of the host).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { MeshConfig } from '#api/mesh-config.ts';
import type { Endpoint } from '#model/endpoint.ts';
import type { Protocol, Service } from '#model/service.ts';
import { meshFixture } from '../support/mesh-fixture.ts';
import { type CaseInputs, CORPUS, readCase } from './case-inputs.ts';
import { findDifferences, sortedJson } from './difference.ts';
import type { CaseContext, ConformanceCase, Suite } from './suite.ts';

interface ExpectedEndpoint {
  readonly addresses: readonly string[];
  readonly port?: number;
  readonly portName?: string;
  readonly weight?: number;
  readonly health?: number;
  readonly [field: string]: unknown;
}

interface ExpectedService {
  readonly hostname: string;
  readonly namespace: string;
  readonly ports?: readonly unknown[];
  readonly exportTo?: readonly string[];
  readonly registry?: string;
  readonly endpoints?: readonly ExpectedEndpoint[];
  readonly [field: string]: unknown;
}

/** Words of the corpus for our protocols, where they differ. */
const PROTOCOL_NAMES: Partial<Record<Protocol, string>> = {
  Unsupported: 'UnsupportedProtocol',
  GRPCWeb: 'GRPC-Web',
};

export const SERVICE_REGISTRY: Suite = {
  name: 'serviceregistry',
  missing: ['multicluster', 'ambient', 'gateway-api'],
  cases(dir) {
    const folder = join(dir, 'serviceregistry', 'cases');
    return readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .sort()
      .map((file) => caseOf(dir, join(folder, file)));
  },
};

function caseOf(dir: string, file: string): ConformanceCase {
  const name = basename(file, '.json');
  const expected = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly case: string;
    readonly services: readonly ExpectedService[];
  };
  const inputs = readCase(join(dir, 'xds', 'cases', expected.case));
  return {
    name,
    tags: inputs.tags,
    // Policies and telemetry do not make services.
    needs: inputs.needs.filter((need) => need !== 'security' && need !== 'telemetry'),
    run: (context) => compare(inputs, expected.services, context),
  };
}

function compare(
  inputs: CaseInputs,
  expected: readonly ExpectedService[],
  context: CaseContext,
): readonly string[] {
  const { mesh, set, settle } = meshFixture(CORPUS);
  mesh.meshConfig.set('mesh', inputs.meshConfig);
  mesh.meshNetworks.set('mesh', inputs.meshNetworks);
  set(...inputs.objects);
  settle();
  const { services, endpoints } = mesh.graph.serviceModel;
  const found: string[] = [];
  const left = new Map(services.all());
  const generated: unknown[] = [];
  for (const want of expected) {
    const key = `${want.namespace}/${want.hostname}`;
    const service = left.get(key);
    left.delete(key);
    if (service === undefined) {
      if (want.registry === 'Kubernetes' && (want.ports ?? []).length === 0)
        context.ignore('Kubernetes service without ports');
      else found.push(`${key}: missing`);
      continue;
    }
    const own = (endpoints.get(key)?.endpoints ?? []).map(plainEndpoint);
    const got = plainService(service);
    generated.push({ ...got, endpoints: own });
    const { endpoints: wantEndpoints = [], name: _name, ...rest } = want;
    const exportTo = (rest.exportTo ?? []).length > 0 ? rest.exportTo : defaultExportTo(inputs.meshConfig);
    findDifferences(key, withoutEmpty({ ...rest, exportTo }), withoutEmpty(got), found);
    compareEndpoints(key, wantEndpoints.map(normalEndpoint), own.map(normalEndpoint), found);
  }
  for (const [key, service] of left) {
    if (service.registry === 'Kubernetes' && service.ports.length === 0)
      context.ignore('Kubernetes service without ports');
    else found.push(`${key}: not expected`);
  }
  context.dump(inputs.name, 'services', generated);
  return found;
}

function compareEndpoints(key: string, want: readonly Plain[], got: readonly Plain[], found: string[]): void {
  const keyOf = ({ addresses, portName, port }: Plain): string => JSON.stringify([addresses, portName, port]);
  const left = new Map(got.map((endpoint) => [keyOf(endpoint), endpoint] as const));
  for (const endpoint of want) {
    const own = left.get(keyOf(endpoint));
    left.delete(keyOf(endpoint));
    const path = `${key} endpoint ${keyOf(endpoint)}`;
    if (own === undefined) found.push(`${path}: missing`);
    else findDifferences(path, endpoint, own, found);
  }
  for (const name of left.keys()) found.push(`${key} endpoint ${name}: not expected`);
}

type Plain = Readonly<Record<string, unknown>>;

/** Health apart (0 and 1 are alike, and we show no others), weights 0 and empty values left out. */
function normalEndpoint({ health: _health, ...endpoint }: Plain): Plain {
  const { weight, ...rest } = endpoint;
  return withoutEmpty({ ...rest, ...(weight === 0 ? {} : { weight }) });
}

function withoutEmpty(value: Plain): Plain {
  return Object.fromEntries(
    Object.entries(value).filter(
      ([, part]) => part !== undefined && part !== '' && !/^(\[\]|\{\})$/.test(sortedJson(part)),
    ),
  );
}

function plainService(service: Service): Plain {
  const { hostname, namespace, addresses, ports, resolution, meshExternal, registry } = service;
  return {
    hostname,
    namespace,
    defaultAddress: addresses[0] ?? '0.0.0.0',
    ports: ports.map(({ name, number, protocol }) => ({
      name,
      port: number,
      protocol: PROTOCOL_NAMES[protocol] ?? protocol,
    })),
    resolution,
    meshExternal,
    registry,
    selector: service.selector,
    externalName: service.externalName,
    serviceAccounts: service.serviceAccounts,
    exportTo: exportTo(service),
  };
}

/** The corpus writes what the object says; what it does not say, the mesh config says. */
function defaultExportTo({ defaultServiceExportTo = [] }: MeshConfig): readonly string[] {
  return defaultServiceExportTo.includes('*') ? [] : defaultServiceExportTo;
}

/** Ours in the words of the corpus, defaults resolved: nothing for everybody. */
function exportTo({ visibility, namespace }: Service): readonly string[] {
  if (visibility.public) return [];
  if (visibility.namespaces.length === 0) return ['~'];
  return visibility.namespaces.map((other) => (other === namespace ? '.' : other));
}

function plainEndpoint(endpoint: Endpoint): Plain {
  const { region, zone, subzone } = endpoint.locality;
  return {
    addresses: [endpoint.address],
    port: endpoint.port,
    portName: endpoint.portName,
    labels: endpoint.labels,
    serviceAccount: endpoint.identity,
    network: endpoint.network,
    locality: [region, zone, subzone].join('/').replace(/\/+$/, ''),
    weight: endpoint.weight,
    tlsMode: endpoint.tlsMode,
    workload: endpoint.workloadName,
    namespace: endpoint.namespace,
    cluster: endpoint.clusterId,
    hostName: endpoint.hostname,
  };
}
