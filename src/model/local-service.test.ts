import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { localServiceOf } from './local-service.ts';
import type { Service, ServicePort } from './service.ts';
import type { ServiceTarget } from './service-target.ts';

const PORTS = [port('web', 80), port('admin', 8_080)];

function port(name: string, number: number): ServicePort {
  return { name, number, protocol: 'HTTP', targetPort: 0, targetPortName: '' };
}

function service(hostname: string, createdAtMs: number): Service {
  return { hostname, createdAtMs, ports: PORTS } as unknown as Service;
}

function target(of: Service, index: number): ServiceTarget {
  return { service: of, port: PORTS[index] as ServicePort, targetPort: 8_000 + index };
}

const a = service('a.b.svc', 5);
const z = service('z.b.svc', 5);
const old = service('old.b.svc', 1);

const CASES: readonly (readonly [string, readonly ServiceTarget[], string])[] = [
  ['nothing leads there', [], 'none'],
  ['the oldest service', [target(a, 0), target(old, 0)], 'old.b.svc:80'],
  ['of services as old as each other the first by name', [target(z, 0), target(a, 0)], 'a.b.svc:80'],
  ['the first port in the order of the service', [target(a, 1), target(a, 0)], 'a.b.svc:80'],
  ['only ports that lead there', [target(a, 1)], 'a.b.svc:8080'],
];

describe('the service that a workload is a part of', () => {
  for (const [name, targets, expected] of CASES) {
    it(name, () => {
      const found = localServiceOf(targets);
      assert.equal(found === undefined ? 'none' : `${found.service.hostname}:${found.port.number}`, expected);
    });
  }
});
