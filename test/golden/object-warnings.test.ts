import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { meshFixture } from '../support/mesh-fixture.ts';

const route = (name: string, spec: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: shop }
spec: ${spec}
---
`;

test('delegates that are missing, hidden or in conflict are told to who applies them', () => {
  const fixture = meshFixture();
  fixture.apply(
    route(
      'root',
      '{ hosts: [a.example], http: [{ match: [{ uri: { prefix: /a } }], delegate: { name: near } }, { delegate: { name: lost } }, { delegate: { name: far, namespace: other } }] }',
    ) +
      route('near', '{ http: [{ match: [{ uri: { prefix: /b } }], directResponse: { status: 200 } }] }') +
      route('far', '{ exportTo: ["."], http: [{ directResponse: { status: 200 } }] }').replace(
        'shop',
        'other',
      ),
  );
  fixture.settle();
  const found = [...fixture.mesh.graph.findings.all().values()].flat();
  deepStrictEqual(found.map(({ code, resource, path }) => `${code} ${resource?.name} ${path}`).sort(), [
    'IST0101 root spec.http[1]',
    'LTN5001 root spec.http[2]',
    'LTN5002 near spec.http[0]',
  ]);
});
