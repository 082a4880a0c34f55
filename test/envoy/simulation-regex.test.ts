/**
 * Users' regular expressions mean to the simulator what they mean to Envoy's RE2: a corpus of tricky ones, matched on paths and on
 * headers and used in rewrites, answered by a real Envoy.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { simulateAtProxy } from '#simulation/simulate.ts';
import { decodeAll, meshFixture } from '../support/mesh-fixture.ts';
import { actualSight, expectedSight } from './simulation-agreement.ts';
import { SimulationApp } from './simulation-app.ts';
import { simulatedProxy } from './simulation-case.ts';
import {
  fixedManifests,
  listenEverywhere,
  type Manifest,
  WORKLOAD,
  WORKLOAD_ADDRESS,
} from './simulation-mesh.ts';
import { type RigCall, SimulationRig } from './simulation-rig.ts';

/** Expressions with the texts that they are tried on; each is also tried on the common texts. */
const CORPUS: readonly (readonly [regex: string, texts: readonly string[]])[] = [
  ['a|ab', ['ab', 'abc']],
  ['(a|ab)(c|bcd)(d*)', ['abcd', 'abcdd', 'acd']],
  ['(?i)straße', ['STRASSE']],
  ['(?i)k', ['K']],
  ['(?i)abc(?-i)d', ['ABCd', 'ABCD']],
  ['(?s).*', []],
  ['(?U)a+b*', ['aab']],
  ['(?P<name>x+)(?:y)', ['xxy']],
  ['[[:alpha:]]+', ['abc', 'ab1']],
  ['[^[:space:]]*', ['a b', 'ab']],
  ['\\pL+', ['abc']],
  ['\\p{Lu}\\p{Ll}*', ['Abc', 'aBC']],
  ['\\d{2,3}', ['1', '12', '123', '1234']],
  ['\\w+\\.\\W\\w', ['a.-b']],
  ['\\x61\\x{62}', ['ab']],
  ['\\141', ['a']],
  ['\\Qa.b\\E+', ['a.b', 'a.bb', 'axb']],
  ['^abc$', ['abc']],
  ['\\Aabc\\z', ['abc']],
  ['abc\\b', ['abc']],
  ['\\Babc', ['abc']],
  ['a??b', ['ab', 'b', 'aab']],
  ['(a*)*', ['aaa', 'b']],
  ['(a*)+b', ['aaab']],
  ['(a|b)*?c', ['ababc']],
  ['[a-c-e]', ['-', 'd', 'b']],
  ['[]a]', [']', 'a']],
  ['[^]a]', [']', 'b']],
  ['[\\]\\-]+', [']-']],
  ['x{0}y', ['y', 'xy']],
  ['x{2}', ['xx', 'xxx']],
  ['a{,2}', ['a{,2}', 'aa']],
  ['a{1', ['a{1']],
  ['(|a)b', ['b', 'ab']],
  ['()', ['']],
  ['.{3}', ['abc', 'ab', 'a/b']],
  ['[.]', ['.', 'a']],
  ['a\\/b', ['a/b']],
  ['v[0-9]+(\\.[0-9]+)*', ['v1', 'v1.2.3', 'v1.']],
  ['(foo|bar)?baz', ['baz', 'foobaz', 'foobarbaz']],
  ['\\S+@\\S+', ['a@b', '@']],
  ['[a-zA-Z0-9._%+-]+', ['a%2Fb', 'a+b']],
  ['%[0-9A-F]{2}', ['%2F', '%2f']],
  ['(?:(?:a))', ['a']],
  ['\\t', []],
  ['a.c', ['abc', 'a%0Ac']],
  ['(?m)^a$', ['a']],
  ['[[:^digit:]]', ['a', '1']],
  ['\\D\\S', ['ab', '1b']],
];
const COMMON = ['', 'a', 'abc', 'ABC', '-'];

/** Rewrites of whole paths. Groups, empty matches, escapes. */
const REWRITES: readonly (readonly [match: string, rewrite: string, paths: readonly string[]])[] = [
  ['x*', '-', ['/axxb', '/', '/xx']],
  ['^/(.*)$', '/n/\\1', ['/a/b', '/']],
  ['(a)(b)?', '[\\2\\1]', ['/ab', '/a', '/aab']],
  ['/', '//', ['/a/b']],
  ['\\b', '.', ['/ab/cd']],
  ['b|$', 'E', ['/ab', '/a']],
  ['(?i)A', '\\0\\0', ['/aA']],
  ['^', '/p', ['/a?q=a']],
  ['[a-c]+?', '_', ['/abcd']],
  ['a(.*)', '\\\\\\1', ['/abc']],
];

let rig: SimulationRig;
let app: SimulationApp;

before(async () => {
  rig = await SimulationRig.start();
  app = new SimulationApp();
  await listenEverywhere(app);
});

after(async () => {
  await app[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

interface Try {
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** What Envoy and what the simulator make of the tries, under one VirtualService. */
async function compare(
  http: readonly unknown[],
  tries: readonly Try[],
): Promise<readonly [string[], string[]]> {
  const fixture = meshFixture();
  fixture.configure({ ...rig.meshConfig(), pathNormalization: { normalization: 'NONE' } });
  const metadata = { name: 'regexes', namespace: 'default' };
  const apiVersion = 'networking.istio.io/v1';
  const rules: Manifest = { apiVersion, kind: 'VirtualService', metadata, spec: { hosts: ['a'], http } };
  for (const manifest of [...fixedManifests(), rules]) fixture.set(...decodeAll(manifest));
  const proxy = simulatedProxy(fixture, WORKLOAD);
  await rig.load(proxy.snapshot, { outbound: 15001, inbound: 15006 });
  const calls = tries.map(toCall);
  const truths = await rig.run(calls);
  const expected = calls.map((call) => simulateAtProxy(proxy, call).outcomes[0]?.verdict);
  const shown = (i: number): string => JSON.stringify(tries[i]);
  return [
    truths.map((truth, i) => `${shown(i)} ${actualSight(truth)}`),
    expected.map((verdict, i) => `${shown(i)} ${verdict === undefined ? '' : expectedSight(verdict)}`),
  ];
}

function toCall({ path, headers }: Try, index: number): RigCall {
  const group = index % 8;
  const connection = {
    sourceAddress: WORKLOAD_ADDRESS,
    sourcePort: 2000 + group,
    address: '127.88.0.1',
    port: 8080,
    protocol: 'http/1.1',
    tls: undefined,
  } as const;
  const request = { method: 'GET', authority: 'a:8080', path, scheme: '', headers, claims: undefined };
  return { direction: 'outbound', connection, request, group, certificate: undefined };
}

/** Rules that answer 200 where the regex matches, for the number of the regex in a header. */
function rulesOf(condition: (regex: string) => object): readonly unknown[] {
  const rules = CORPUS.map(([regex], i) => {
    const number = { headers: { 'x-regex': { exact: String(i) } } };
    const { headers, ...rest } = condition(regex) as { headers?: object };
    const match = [{ ...rest, headers: { ...number.headers, ...headers } }];
    return { name: `r${i}`, match, directResponse: { status: 200 } };
  });
  return [...rules, { directResponse: { status: 418 } }];
}

function triesOf(make: (text: string) => Try): readonly Try[] {
  return CORPUS.flatMap(([, texts], i) =>
    [...texts, ...COMMON].map((text) => {
      const { path, headers } = make(text);
      return { path, headers: [['x-regex', String(i)], ...headers] as const };
    }),
  );
}

test('on headers', async () => {
  const tries = triesOf((text) => ({ path: '/', headers: [['x-text', text]] }));
  const [actual, expected] = await compare(
    rulesOf((regex) => ({ headers: { 'x-text': { regex } } })),
    tries,
  );
  deepStrictEqual(expected, actual);
});

test('on paths, of which all is matched but the query', async () => {
  const tries = triesOf((text) => ({ path: `/${text.replaceAll(' ', '')}?a=b`, headers: [] }));
  const [actual, expected] = await compare(
    rulesOf((regex) => ({ uri: { regex: `/(?:${regex})` } })),
    tries,
  );
  deepStrictEqual(expected, actual);
});

test('in rewrites, where no empty match follows another match', async () => {
  const rules = REWRITES.map(([match, rewrite], i) => ({
    name: `w${i}`,
    match: [{ headers: { 'x-regex': { exact: String(i) } } }],
    rewrite: { uriRegexRewrite: { match, rewrite } },
    route: [{ destination: { host: 'a', port: { number: 8080 } } }],
  }));
  const tries = REWRITES.flatMap(([, , paths], i) =>
    paths.map((path) => ({ path, headers: [['x-regex', String(i)]] as const })),
  );
  const [actual, expected] = await compare(rules, tries);
  deepStrictEqual(expected, actual);
});
