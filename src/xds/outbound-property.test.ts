/** Law 5 for the outbound side: after any sequence of events the bytes are those of a graph that saw only the end. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  kubernetesService,
  object,
  pod,
  port,
  proxy,
  serviceEntry,
  slice,
  sliceEndpoint,
} from '#model/service-model-rig.ts';
import { type OutboundRig, outboundRig } from './outbound-rig.ts';

type Kind =
  | 'Service'
  | 'ServiceEntry'
  | 'EndpointSlice'
  | 'Pod'
  | 'DestinationRule'
  | 'Sidecar'
  | 'VirtualService'
  | 'WorkloadEntry';

/** One step: an object set or taken away, or a proxy that comes or goes. */
type Step =
  | { readonly kind: 'set'; readonly object: MeshObject }
  | { readonly kind: 'remove'; readonly of: Kind; readonly key: string }
  | { readonly kind: 'connect'; readonly proxy: Proxy }
  | { readonly kind: 'disconnect'; readonly id: string };

const NAMESPACES = ['a', 'b', 'istio-system'];
const namespace = fc.constantFrom(...NAMESPACES);
const name = fc.constantFrom('x', 'y');
const createdAtMs = fc.constantFrom(1, 2);
const version = fc.constantFrom('v1', 'v2');
const host = fc.constantFrom('x', 'x.a.svc.cluster.local', '*.a.svc.cluster.local', '*', 'ext.com', '*.com');
const exportTo = fc.constantFrom<string[]>([], ['.'], ['*'], ['b'], ['~']);

const services = fc
  .record({ name, namespace, createdAtMs, headless: fc.boolean(), named: fc.boolean() })
  .map(({ name, namespace, createdAtMs, headless, named }) =>
    kubernetesService(
      name,
      { clusterIP: headless ? 'None' : '10.0.0.1', ports: [port(named ? 'http' : '')] },
      { namespace, createdAtMs },
    ),
  );
const entries = fc
  .record({
    name,
    namespace,
    createdAtMs,
    exportTo,
    resolution: fc.constantFrom('STATIC', 'DNS', 'NONE'),
    selects: fc.boolean(),
  })
  .map(({ name, namespace, createdAtMs, exportTo, resolution, selects }) =>
    serviceEntry(
      name,
      {
        hosts: ['ext.com', 'x.a.svc.cluster.local'],
        exportTo,
        resolution: resolution as 'STATIC',
        ...(selects
          ? { workloadSelector: { labels: { app: 'x' } } }
          : { endpoints: [{ address: '192.0.2.1' }] }),
      },
      { namespace, createdAtMs },
    ),
  );
const pods = fc
  .record({ name, namespace, version, ready: fc.boolean(), sa: name })
  .map(({ name, namespace, version, ready, sa }) => ({
    ...pod(name, `10.1.0.${name === 'x' ? 1 : 2}`, { app: 'x', version }, { ready, serviceAccountName: sa }),
    namespace,
  }));
const slices = fc.record({ name, namespace, ready: fc.boolean() }).map(({ name, namespace, ready }) => {
  const targetRef = { kind: 'Pod', namespace, name };
  return { ...slice(name, [sliceEndpoint('10.1.0.1', name, { ready, targetRef })]), namespace };
});
const rules = fc
  .record({
    name,
    namespace,
    createdAtMs,
    host,
    exportTo,
    subset: version,
    selective: fc.boolean(),
    outliers: fc.boolean(),
  })
  .map(({ name, namespace, createdAtMs, host, exportTo, subset, selective, outliers }) =>
    object(
      'DestinationRule',
      name,
      {
        host,
        exportTo,
        subsets: [{ name: subset, labels: { version: subset } }],
        ...(selective ? { workloadSelector: { matchLabels: { app: 'x' } } } : {}),
        ...(outliers ? { trafficPolicy: { outlierDetection: { consecutive5xxErrors: 1 } } } : {}),
      },
      { namespace, createdAtMs },
    ),
  );
const sidecars = fc
  .record({ name, namespace, hosts: fc.constantFrom(['*/*'], ['./*'], ['a/*', '*/ext.com']) })
  .map(({ name, namespace, hosts }) => object('Sidecar', name, { egress: [{ hosts }] }, { namespace }));
const virtualServices = fc
  .record({ name, namespace })
  .map(({ name, namespace }) =>
    object(
      'VirtualService',
      name,
      { hosts: ['x'], http: [{ route: [{ destination: { host: 'x.b.svc.cluster.local' } }] }] },
      { namespace },
    ),
  );

const anyObject: fc.Arbitrary<MeshObject> = fc.oneof(
  services,
  entries,
  pods,
  slices,
  rules,
  sidecars,
  virtualServices,
);
const proxies = fc
  .record({ namespace, app: name, type: fc.constantFrom<Proxy['type']>('sidecar', 'router'), zone: name })
  .map(({ namespace, app, type, zone }) =>
    proxy('p', {
      id: `${namespace}${app}${type}${zone}`,
      namespace,
      type,
      labels: { app },
      locality: { region: 'r', zone, subzone: '' },
    }),
  );

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: anyObject.map((object): Step => ({ kind: 'set', object })) },
  {
    weight: 2,
    arbitrary: anyObject.map(
      ({ kind, namespace, name }): Step => ({
        kind: 'remove',
        of: kind as Kind,
        key: `${namespace}/${name}`,
      }),
    ),
  },
  { weight: 2, arbitrary: proxies.map((proxy): Step => ({ kind: 'connect', proxy })) },
  { weight: 1, arbitrary: proxies.map(({ id }): Step => ({ kind: 'disconnect', id })) },
);

function run(rig: OutboundRig, step: Step): void {
  if (step.kind === 'set')
    rig.of(step.object.kind as Kind).set(`${step.object.namespace}/${step.object.name}`, step.object);
  else if (step.kind === 'remove') rig.of(step.of).delete(step.key);
  else if (step.kind === 'connect') rig.proxies.set(step.proxy.id, step.proxy);
  else rig.proxies.delete(step.id);
}

/** Versions of everything that every connected proxy gets. */
function outcome(rig: OutboundRig): unknown {
  return [...rig.proxies.all()].map(([id, each]) => ({
    id,
    clusters: [...rig.clusterEntries(each)].map(([key, { resource, causes }]) => [
      key,
      resource.version,
      causes,
    ]),
    endpoints: [...rig.endpointEntries(each)].map(([key, { resource, causes }]) => [
      key,
      resource.version,
      causes,
    ]),
  }));
}

test('incremental equals from scratch, byte for byte, causes included', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(steps, fc.boolean()), { minLength: 1, maxLength: 40 }), (sequence) => {
      const incremental = outboundRig();
      const scratch = outboundRig();
      for (const [step, settles] of sequence) {
        run(incremental, step);
        if (settles) incremental.engine.settle();
        run(scratch, step);
      }
      incremental.engine.settle();
      scratch.engine.settle();
      deepStrictEqual(outcome(incremental), outcome(scratch));
    }),
    { numRuns: 60 },
  );
});
