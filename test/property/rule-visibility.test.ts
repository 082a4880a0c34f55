/**
 * exportTo of VirtualServices and DestinationRules hides exactly what it should: of a random mesh every proxy obeys the rules that a
 * naive restatement of Istio's order allows it, and no others; which ones is known from the causes of routes and clusters.
 * Rules: exportTo of both kinds, meshConfig defaultVirtualServiceExportTo and defaultDestinationRuleExportTo; DestinationRules of the
 * client's namespace, then of the service's, then of the root. LATEEN_LONG=1 runs it for minutes.
 */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { meshFixture } from '../support/mesh-fixture.ts';

const isLong = process.env['LATEEN_LONG'] === '1';
const ROOT = 'istio-system';
const NAMESPACES = ['default', 'shop', ROOT] as const;
const SERVICE_NAMESPACE = 'shop';
const HOSTS = ['a.example.com', 'b.example.com'] as const;

interface Rule {
  readonly kind: 'VirtualService' | 'DestinationRule';
  readonly namespace: string;
  readonly host: string;
  /** Undefined where it says nothing. */
  readonly exportTo: readonly string[] | undefined;
}

interface World {
  readonly rules: readonly Rule[];
  readonly defaultExportTo: readonly string[] | undefined;
}

const exportTo = fc.option(
  fc.constantFrom(['*'], ['.'], ['default'], ['.', 'elsewhere'], [ROOT], ['shop', 'default'], ['elsewhere']),
  { nil: undefined },
);
const rule: fc.Arbitrary<Rule> = fc.record({
  kind: fc.constantFrom('VirtualService', 'DestinationRule'),
  namespace: fc.constantFrom(...NAMESPACES),
  host: fc.constantFrom(...HOSTS),
  exportTo,
});
const world: fc.Arbitrary<World> = fc.record({
  // One VirtualService per host, so that none is behind another; one DestinationRule per host and namespace.
  rules: fc.uniqueArray(rule, {
    maxLength: 8,
    selector: ({ kind, host, namespace }) => `${kind}/${host}/${kind === 'DestinationRule' ? namespace : ''}`,
  }),
  defaultExportTo: fc.constantFrom(undefined, ['*'], ['.']),
});

// The rules, as plainly as they can be said.

function listOf({ exportTo: own }: Rule, { defaultExportTo }: World): readonly string[] {
  return own ?? defaultExportTo ?? ['*'];
}

function virtualServiceFor(host: string, viewer: string, mesh: World): Rule | undefined {
  return mesh.rules.find((one) => {
    if (one.kind !== 'VirtualService' || one.host !== host) return false;
    return listOf(one, mesh).some((entry) => [viewer, '*'].includes(entry === '.' ? one.namespace : entry));
  });
}

function destinationRuleFor(host: string, viewer: string, mesh: World): Rule | undefined {
  const inNamespace = (namespace: string): readonly (readonly [rule: Rule, list: readonly string[]])[] =>
    mesh.rules
      .filter((one) => one.kind === 'DestinationRule' && one.host === host && one.namespace === namespace)
      .map((one) => [one, listOf(one, mesh)]);
  const isPrivate = (namespace: string, [first = '', ...more]: readonly string[]): boolean =>
    more.length === 0 && (first === '.' || first === namespace);
  // In the root namespace lie rules for all: of a client there, only those that nobody else sees come before the service's.
  const own = inNamespace(viewer).filter(([, list]) =>
    viewer === ROOT ? isPrivate(ROOT, list) : list.some((entry) => ['*', '.', viewer].includes(entry)),
  );
  const exported = [SERVICE_NAMESPACE, ROOT].flatMap((namespace) =>
    inNamespace(namespace).filter(
      ([, list]) => !isPrivate(namespace, list) && list.some((entry) => entry === '*' || entry === viewer),
    ),
  );
  return [...own, ...exported][0]?.[0];
}

function nameOf(one: Rule | undefined): string {
  if (one === undefined) return '';
  const { host, namespace } = one;
  return `${host.split('.', 1)[0]}-${namespace}`;
}

function manifestOf(one: Rule): object {
  const { kind, namespace, host } = one;
  const visible = one.exportTo === undefined ? {} : { exportTo: one.exportTo };
  const spec =
    kind === 'VirtualService'
      ? { hosts: [host], http: [{ route: [{ destination: { host } }] }] }
      : { host, trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } };
  return {
    apiVersion: 'networking.istio.io/v1',
    kind,
    metadata: { name: nameOf(one), namespace },
    spec: { ...spec, ...visible },
  };
}

function serviceOf(host: string): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: host, namespace: SERVICE_NAMESPACE },
    spec: {
      hosts: [host],
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      endpoints: [{ address: '10.8.0.1' }],
    },
  };
}

/** By viewer and host: names of the VirtualService and the DestinationRule in force. */
type InForce = readonly (readonly [viewer: string, host: string, route: string, cluster: string])[];

function actual(mesh: World): InForce {
  const fixture = meshFixture();
  const { defaultExportTo } = mesh;
  if (defaultExportTo !== undefined) {
    fixture.configure({
      defaultVirtualServiceExportTo: defaultExportTo,
      defaultDestinationRuleExportTo: defaultExportTo,
    });
  }
  const documents = [...HOSTS.map(serviceOf), ...mesh.rules.map(manifestOf)];
  fixture.apply(documents.map((document) => JSON.stringify(document)).join('\n---\n'));
  NAMESPACES.forEach((namespace, at) =>
    fixture.connect({ name: namespace, namespace, ip: `10.7.0.${at + 1}` }),
  );
  return NAMESPACES.flatMap((viewer) => {
    const clusters = fixture.entries(viewer).clusters;
    const routes = JSON.stringify(fixture.snapshot(viewer).routes);
    return HOSTS.map((host) => {
      const [short] = host.split('.', 1);
      const rules = clusters
        .get(`outbound|80||${host}`)
        ?.causes.filter(({ kind }) => kind === 'DestinationRule');
      const route = new RegExp(`virtual-service/(${short}-[a-z-]+)`).exec(routes)?.[1] ?? '';
      return [viewer, host, route, rules?.map(({ name }) => name).join() ?? ''] as const;
    });
  });
}

test('every proxy obeys the VirtualServices and DestinationRules that are for it, and no others', () => {
  fc.assert(
    fc.property(world, (mesh) => {
      const expected = NAMESPACES.flatMap((viewer) =>
        HOSTS.map((host) => [
          viewer,
          host,
          nameOf(virtualServiceFor(host, viewer, mesh)),
          nameOf(destinationRuleFor(host, viewer, mesh)),
        ]),
      );
      deepStrictEqual(actual(mesh), expected);
    }),
    isLong
      ? { numRuns: 20_000, interruptAfterTimeLimit: 300_000 }
      : { numRuns: 30, interruptAfterTimeLimit: 30_000 },
  );
});
