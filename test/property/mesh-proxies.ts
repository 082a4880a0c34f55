/** The proxies of random meshes: one of every kind that is told apart. */
import type { ProxyFacts } from '../support/mesh-fixture.ts';

function identityIn(namespace: string): string {
  return `spiffe://cluster.local/ns/${namespace}/sa/default`;
}

const gatewayLabels = { istio: 'ingressgateway', app: 'a' };
const ALL: readonly ProxyFacts[] = [
  {
    name: 'a-1',
    ip: '10.9.0.1',
    labels: { app: 'a', version: 'v1' },
    locality: { region: 'r1', zone: 'z1' },
  },
  {
    name: 'a-2',
    ip: '10.9.0.2',
    labels: { app: 'a', version: 'v2' },
    locality: { region: 'r2', zone: 'z1' },
  },
  {
    name: 'b-1',
    ip: '10.9.0.3',
    namespace: 'shop',
    labels: { app: 'b', version: 'v1' },
    interceptionMode: 'TPROXY',
  },
  { name: 'c-1', ip: 'fd00::5', namespace: 'istio-system', labels: { app: 'a', version: 'v1' } },
  {
    name: 'a-0',
    ip: '127.4.0.2',
    labels: { app: 'a' },
    interceptionMode: 'NONE',
    outboundAddress: '127.4.0.4',
    httpProxyPort: 15080,
  },
  {
    name: 'in-1',
    type: 'router',
    ip: '10.9.0.3',
    namespace: 'istio-system',
    labels: gatewayLabels,
  },
  {
    name: 'in-2',
    type: 'router',
    ip: '127.4.0.6',
    labels: gatewayLabels,
    interceptionMode: 'NONE',
  },
  {
    name: 'out-1',
    type: 'router',
    ip: '10.9.0.2',
    namespace: 'shop',
    labels: { istio: 'egressgateway' },
    network: 'n1',
  },
];

/** All but one have proven who they are. */
export const PROXIES: readonly ProxyFacts[] = ALL.map((facts) =>
  facts.name === 'a-2' ? facts : { ...facts, identity: identityIn(facts.namespace ?? 'default') },
);
