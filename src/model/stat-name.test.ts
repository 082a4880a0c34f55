import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { statName } from './stat-name.ts';

const ALL =
  '%SERVICE%|%SERVICE_NAME%|%SERVICE_FQDN%|%SUBSET_NAME%|%TARGET_PORT%|%SERVICE_PORT%|%SERVICE_PORT_NAME%';
const rest = { subset: 'v1', targetPort: 8080, port: { number: 80, name: 'http' } };

for (const [what, service, expected] of [
  [
    'a service of Kubernetes',
    { host: 'a.shop.svc.cluster.local', name: 'a', namespace: 'shop' },
    'a.shop|a|a.shop.svc.cluster.local|v1|8080|80|http',
  ],
  [
    'a ServiceEntry',
    { host: 'a.example.com', name: 'a.example.com', namespace: 'shop' },
    'a.example.com|a.example.com|a.example.com|v1|8080|80|http',
  ],
] as const) {
  test(`a pattern is filled in for ${what}`, () =>
    strictEqual(statName(ALL, { service, ...rest }), expected));
}
