import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { hostCandidates, parseHostPort } from './grpc-name.ts';

test('host and port of a dialled name', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['a.example.com:80', 'a.example.com 80'],
    ['[fd00::1]:80', 'fd00::1 80'],
    ['10.0.0.1:65535', '10.0.0.1 65535'],
    ['a', undefined],
    ['a:0', undefined],
    ['a:65536', undefined],
    ['fd00::1:80', undefined],
    [':80', undefined],
  ];
  const found = cases.map(([name]) => {
    const parsed = parseHostPort(name);
    return [name, parsed === undefined ? undefined : `${parsed.host} ${parsed.port}`];
  });
  deepStrictEqual(found, cases);
});

test('short names stand for services of the own namespace', () => {
  const of = (host: string): readonly string[] => hostCandidates(host, 'shop', 'shop.svc.cluster.local');
  deepStrictEqual(of('cart'), ['cart', 'cart.shop.svc.cluster.local']);
  deepStrictEqual(of('cart.shop'), ['cart.shop', 'cart.shop.svc.cluster.local']);
  deepStrictEqual(of('cart.shop.svc'), ['cart.shop.svc', 'cart.shop.svc.cluster.local']);
  deepStrictEqual(of('cart.other'), ['cart.other']);
  deepStrictEqual(of('cart.shop.svc.cluster.local'), ['cart.shop.svc.cluster.local']);
});
