import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireError, WireWriter } from '#base/proto-wire.ts';
import { decodeNameTable, type DnsNameTable, type NameScope } from './dns-name-table.ts';

const SCOPE: NameScope = {
  namespace: 'default',
  domain: 'svc.cluster.local',
  searchDomain: 'default.svc.cluster.local',
};

interface Info {
  readonly ips: readonly string[];
  readonly shortname?: string;
  readonly namespace?: string;
}

function encodeTable(table: Readonly<Record<string, Info>>): Uint8Array {
  const writer = new WireWriter();
  for (const [name, { ips, shortname, namespace = '' }] of Object.entries(table)) {
    const info = new WireWriter();
    for (const ip of ips) info.string(1, ip);
    info.string(2, shortname === undefined ? 'External' : 'Kubernetes');
    if (shortname !== undefined) info.string(3, shortname).string(4, namespace);
    writer.bytes(1, new WireWriter().string(1, name).bytes(2, info.finish()).finish());
  }
  return writer.finish();
}

const TABLE: Readonly<Record<string, Info>> = {
  'reviews.default.svc.cluster.local': { ips: ['10.0.0.1'], shortname: 'reviews', namespace: 'default' },
  'ratings.shop.svc.cluster.local': { ips: ['10.0.0.2', 'fd00::2'], shortname: 'ratings', namespace: 'shop' },
  'db-0.db.default.svc.cluster.local': { ips: ['10.2.0.1'], shortname: 'db-0.db', namespace: 'default' },
  'WWW.Example.com': { ips: ['240.1.0.1'] },
  '*.example.org': { ips: ['240.1.0.2'] },
  '*.deep.example.org': { ips: ['240.1.0.3'] },
  'outside.svc.other.local': { ips: ['10.0.0.9'], shortname: 'outside', namespace: 'default' },
  'broken.example.com': { ips: ['nonsense'] },
};

const FULL = 'default.svc.cluster.local.';

/** What is asked for -> address, and the full name where the answer is an alias. */
const CASES: readonly (readonly [string, string | undefined, string?])[] = [
  [`reviews.${FULL}`, '10.0.0.1'],
  ['reviews.default.svc.', '10.0.0.1'],
  ['reviews.default.', '10.0.0.1'],
  ['reviews.', '10.0.0.1'],
  ['ratings.', undefined],
  ['ratings.shop.', '10.0.0.2'],
  ['ratings.shop.svc.', '10.0.0.2'],
  ['db-0.db.', '10.2.0.1'],
  ['db-0.db.default.svc.', '10.2.0.1'],
  ['outside.default.', undefined],
  ['www.example.com.', '240.1.0.1'],
  [`www.example.com.${FULL}`, '240.1.0.1', 'www.example.com.'],
  ['www.example.com.svc.cluster.local.', undefined],
  [`ratings.shop.${FULL}`, '10.0.0.2', 'ratings.shop.'],
  [`ratings.shop.svc.cluster.local.${FULL}`, '10.0.0.2', 'ratings.shop.svc.cluster.local.'],
  [`reviews.${FULL}${FULL}`, undefined],
  ['a.example.org.', '240.1.0.2'],
  ['a.b.example.org.', '240.1.0.2'],
  ['a.deep.example.org.', '240.1.0.3'],
  [`a.example.org.${FULL}`, '240.1.0.2', 'a.example.org.'],
  ['example.org.', undefined],
  ['broken.example.com.', undefined],
  ['nobody.example.com.', undefined],
  ['', undefined],
  ['.', undefined],
];

function table(scope: NameScope = SCOPE): DnsNameTable {
  return decodeNameTable(encodeTable(TABLE), scope);
}

for (const [name, address, canonicalName] of CASES) {
  test(`name "${name}" is ${address ?? 'unknown'}`, () => {
    const found = table().find(name);
    assert.deepEqual([found?.addresses[0], found?.canonicalName], [address, canonicalName]);
  });
}

test('without a search domain no aliases are made up, and of another domain no short forms', () => {
  assert.equal(table({ ...SCOPE, searchDomain: '' }).find(`www.example.com.${FULL}`), undefined);
  assert.equal(table({ ...SCOPE, domain: '' }).find('reviews.'), undefined);
  assert.equal(table({ ...SCOPE, namespace: 'shop' }).find('ratings.')?.addresses[0], '10.0.0.2');
});

test('bytes that are no table are an error, those of an empty one a table', () => {
  assert.throws(() => decodeNameTable(Uint8Array.of(0x0a, 0x7f), SCOPE), WireError);
  assert.equal(decodeNameTable(new Uint8Array(), SCOPE).size, 0);
});
