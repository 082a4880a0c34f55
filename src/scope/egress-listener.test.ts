import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { SidecarSpec } from '#api/sidecar.ts';
import { object } from '#model/service-model-rig.ts';
import type { Service } from '#model/service.ts';
import type { VirtualService } from '#model/virtual-service.ts';
import {
  egressListeners,
  importsService,
  importsVirtualService,
  listenerForPort,
} from './egress-listener.ts';

function listeners(egress: NonNullable<SidecarSpec['egress']>) {
  return egressListeners(object<SidecarSpec>('Sidecar', 's', { egress }), 'shop');
}

function imports(hosts: string[], namespace: string, hostname: string): boolean {
  const [listener] = listeners([{ hosts }]);
  return listener !== undefined && importsService(listener, { namespace, hostname } as Service);
}

const IMPORTS: readonly (readonly [string[], string, string, boolean])[] = [
  [['*/*'], 'any', 'a.example.com', true],
  [['./*'], 'shop', 'a.example.com', true],
  [['./*'], 'other', 'a.example.com', false],
  [['other/a.example.com'], 'other', 'a.example.com', true],
  [['other/*.example.com'], 'other', 'a.example.com', true],
  [['*/*.example.com', '~/secret.example.com'], 'other', 'secret.example.com', false],
  [['*/*', '~other/*'], 'other', 'a.example.com', false],
  [['*/*', '~other/*'], 'shop', 'a.example.com', true],
];
for (const [hosts, namespace, hostname, expected] of IMPORTS) {
  test(`${JSON.stringify(hosts)} ${expected ? 'imports' : 'does not import'} ${namespace}/${hostname}`, () => {
    strictEqual(imports(hosts, namespace, hostname), expected);
  });
}

test('a VirtualService is imported when one of its hosts meets a pattern, in either direction', () => {
  const [listener] = listeners([{ hosts: ['*/a.example.com'] }]);
  const seen = (hosts: string[], semantics: VirtualService['semantics'] = 'virtual-service') =>
    listener !== undefined &&
    importsVirtualService(listener, { namespace: 'x', hosts, semantics } as unknown as VirtualService);
  deepStrictEqual(
    [
      seen(['b.example.com', 'a.example.com']),
      seen(['*.example.com']),
      seen(['b.example.com']),
      seen(['*.example.com'], 'gateway-api'),
    ],
    [true, true, false, false],
  );
});

test('a port has its own listener, else the one for all ports', () => {
  const all = listeners([{ port: { number: 9080, protocol: 'HTTP' }, hosts: ['a/*'] }, { hosts: ['b/*'] }]);
  deepStrictEqual(
    [9080, 80].map((port) => listenerForPort(all, port)?.included[0]?.namespace),
    ['a', 'b'],
  );
});

test('without a listener for all ports, other ports see nothing', () => {
  strictEqual(
    listenerForPort(listeners([{ port: { number: 9080, protocol: 'HTTP' }, hosts: ['a/*'] }]), 80),
    undefined,
  );
});

test('a Sidecar without egress imports everything', () => {
  strictEqual(
    listenerForPort(egressListeners(object<SidecarSpec>('Sidecar', 's', {}), 'shop'), 80)?.included[0]?.host,
    '*',
  );
});
