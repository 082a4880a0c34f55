/** `lateen demo` as a newcomer runs it: the page answers, the table fills, a routing rule works live, and nothing is left. */
import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, openStandaloneRig, ROOT, type RunningCommand, statusOf } from './standalone-rig.ts';

const rig = openStandaloneRig();
const networking = join(ROOT, 'samples/bookinfo/networking');
let demo: RunningCommand;
let url: string;
let startedAtMs: number;

before(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}/productpage`;
  startedAtMs = performance.now();
  demo = rig.start(['demo', '--port', String(port)]);
  await demo.shows(/Stop with Ctrl-C/);
});
after(() => rig[Symbol.asyncDispose]());

function page(cookie = ''): Promise<string> {
  return new Promise((done, failed) => {
    get(url, { agent: false, headers: { cookie } }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk));
      answer.on('end', () => done(`${answer.statusCode} ${text}`));
    }).on('error', failed);
  });
}

/** How many of `count` pages show stars of a colour. */
async function starCount(pattern: RegExp, count: number): Promise<number> {
  let found = 0;
  for (let i = 0; i < count; i++) if (pattern.test(await page())) found++;
  return found;
}

test('the product page answers as soon as the demo says so', async (context) => {
  context.diagnostic(`up after ${Math.round(performance.now() - startedAtMs)} ms`);
  strictEqual(await statusOf(url), 200);
});

test('progress and addresses are told', () => {
  const output = demo.output();
  match(output, /^Envoy 1\./m);
  match(output, /^Workloads ready: 7\/7$/m);
  match(output, /^Product page: {2}http:\/\/localhost:\d+\/productpage$/m);
  strictEqual(output.match(/http:\/\/127\.\d+\.\d+\.\d+:15000/g)?.length, 7);
});

test('the table shows edges with traffic of its own, without failures, by mutual TLS', async () => {
  await demo.shows(
    /^productpage-v1 -> details-v1 [1-9]\S* req\/s success 100\.0% p50 \S+ms p99 \S+ms mtls yes$/m,
  );
  await demo.shows(/^istio-ingressgateway\.istio-system -> productpage-v1 .* mtls yes$/m);
});

test('a rule applied in a second terminal works at once', async () => {
  const stars = /text-(?:black|red)-500|glyphicon-star|★/;
  const files = ['destination-rule-all.yaml', 'virtual-service-all-v1.yaml'].flatMap((name) => [
    '-f',
    join(networking, name),
  ]);
  const applied = await rig.run(['apply', '--wait', ...files]);
  deepStrictEqual([applied.exitCode, applied.stderr], [0, '']);
  strictEqual(await starCount(stars, 30), 0);
  const shifted = await rig.run([
    'apply',
    '--wait',
    '-f',
    join(networking, 'virtual-service-reviews-v3.yaml'),
  ]);
  strictEqual(shifted.exitCode, 0);
  strictEqual(await starCount(stars, 10), 10);
});

test('one mistake in a rule is refused, and the page goes on', async () => {
  const yaml =
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: reviews }\nspec: { hosst: [reviews] }\n';
  const { exitCode, stderr } = await rig.run(['apply', '-f', '-'], yaml);
  strictEqual(exitCode, 1);
  match(stderr, /standard input:4:9: error LTN1002: unknown field hosst/);
  match(await page(), /^200 /);
});

test('Ctrl-C stops everything in order; nothing is left', async (context) => {
  const stoppedAtMs = performance.now();
  strictEqual(await demo.end('SIGINT'), 0);
  context.diagnostic(`stopped in ${Math.round(performance.now() - stoppedAtMs)} ms`);
  match(demo.output(), /nothing is left/);
  deepStrictEqual(rig.processes(), []);
  deepStrictEqual(readdirSync(join(rig.top, 'tmp')), []);
  deepStrictEqual(readdirSync(join(rig.top, 'runtime/lateen')), []);
  strictEqual(await statusOf(url), 0);
});

test('SIGTERM while it starts leaves nothing either', async () => {
  const early = rig.start(['demo', '--port', String(await freePort())]);
  await early.shows(/^Workloads ready: 0\/7$/m);
  strictEqual(await early.end('SIGTERM'), 0);
  deepStrictEqual(rig.processes(), []);
  deepStrictEqual(readdirSync(join(rig.top, 'tmp')), []);
});

test('a second Ctrl-C does not wait for drains, and leaves nothing either', async (context) => {
  const early = rig.start(['demo', '--port', String(await freePort())]);
  await early.shows(/^Workloads ready: 7\/7$/m);
  early.child.kill('SIGINT');
  await early.shows(/^Stopping/m);
  const againAtMs = performance.now();
  strictEqual(await early.end('SIGINT'), 0);
  context.diagnostic(`stopped in ${Math.round(performance.now() - againAtMs)} ms`);
  deepStrictEqual(rig.processes(), []);
  deepStrictEqual(readdirSync(join(rig.top, 'tmp')), []);
});
