import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { ApplyAnswer, MeshStatus, ReplicaStatus } from '#doors/control-protocol.ts';
import { openCliRig } from './cli-rig.ts';

const REPLICA: ReplicaStatus = {
  name: 'web',
  namespace: 'shop',
  replica: 0,
  pids: { app: 3, agent: 1, envoy: 2 },
  address: '127.64.0.5',
  appAddress: '127.64.0.6',
  ports: [],
  ready: true,
  reason: '',
  restarts: 0,
  synced: { cds: 'SYNCED', eds: 'SYNCED', lds: 'STALE', rds: 'NOT SENT' },
  identity: 'spiffe://cluster.local/ns/shop/sa/web',
  certificateNotAfter: '2026-01-02T00:00:00Z',
  isolation: 'none',
};
const HELD = {
  kind: 'VirtualService',
  namespace: 'shop',
  name: 'bad',
  reason: 'regex\u001b[31m too big',
  since: '2026-01-01T00:00:00Z',
  lastGood: false,
};
const STATUS: MeshStatus = {
  workloads: [REPLICA],
  gateways: [],
  heldBack: [HELD],
  controlPlane: { pid: 9, addresses: { xds: '', secure: '', http: '' }, version: '1.2.3' },
  certificates: { rotation: 'none', list: [], alerts: ['the root R ends\u001bsoon'] },
  dir: '/mesh',
  diagnostics: [],
};
const DONE: ApplyAnswer = {
  accepted: true,
  objects: [{ kind: 'Service', namespace: 'default', name: 'a', action: 'created' }],
  diagnostics: [],
  pending: [],
  heldBack: [],
};
const OBJECTS = {
  items: [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'b', namespace: 'shop' },
      spec: { ports: [{ port: 80 }] },
    },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a', namespace: 'default' }, spec: {} },
  ],
};

const mistakes: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['a misspelled command', ['aply'], /Did you mean apply\?/],
  ['a misspelled command of a command', ['mtls', 'redyness'], /Did you mean readiness\?/],
  ['a command of commands alone', ['mtls'], /readiness/],
  ['a misspelled option', ['get', 'vs', '--outptu', 'yaml'], /Did you mean --output\?/],
  ['a misspelled kind', ['get', 'virtualservce'], /did you mean VirtualService\?/],
  ['an unknown output', ['get', 'vs', '-o', 'xml'], /yaml, json, wide or name/],
  ['no input', ['apply'], /--filename/],
  ['nothing to delete', ['delete'], /what is to go/],
  ['a kind without a name', ['delete', 'vs'], /which VirtualService/],
  ['a bad duration', ['delete', 'vs', 'a', '--timeout', 'soon'], /soon is not a duration/],
  ['a bad port', ['demo', '--port', '99999'], /not a port/],
  ['a shell without completion', ['completion', 'tcsh'], /bash, zsh, fish/],
  ['a token for nobody', ['jwt', 'check', 'x.y.z'], /--for/],
  ['an empty token', ['jwt', 'check', '-', '--for', 'web'], /the token is empty/],
  ['an exec without a command', ['exec', 'web'], /missing required argument/],
];
for (const [name, argv, expected] of mistakes) {
  test(`${name} is told, with exit code 2`, async () => {
    await using rig = await openCliRig(undefined);
    const { exitCode, stderr, stdout } = await rig.run(argv);
    match(stderr + stdout, expected);
    strictEqual(exitCode, 2);
  });
}

test('without a mesh, commands say so and fail', async () => {
  await using rig = await openCliRig(undefined);
  for (const argv of [['status'], ['get', 'vs'], ['logs', 'a'], ['down'], ['events'], ['edges']]) {
    const { exitCode, stderr } = await rig.run(argv);
    deepStrictEqual([exitCode, stderr], [1, 'error: no mesh is running\n'], argv.join(' '));
  }
});

test('help is no failure and has examples', async () => {
  await using rig = await openCliRig(undefined);
  for (const command of [
    'demo',
    'up',
    'apply',
    'get',
    'delete',
    'edit',
    'logs',
    'exec',
    'status',
    'completion',
  ]) {
    const { exitCode, stdout } = await rig.run([command, '--help']);
    strictEqual(exitCode, 0);
    match(stdout, /Examples:/, command);
  }
});

test('status is a table for people, without control characters of others', async () => {
  await using rig = await openCliRig({ 'GET /v1/status': STATUS });
  const { stdout, exitCode } = await rig.run(['status']);
  strictEqual(exitCode, 0);
  match(stdout, /shop +web-0 +yes +0 +waits for lds +127\.64\.0\.5/);
  match(stdout, /Held back/);
  match(stdout, /^the root R ends soon$/m);
  ok(!stdout.includes('\u001b'), stdout);
});

test('colours appear on a terminal, and not when NO_COLOR is set', async () => {
  await using rig = await openCliRig({ 'GET /v1/status': STATUS });
  for (const [environment, hasColour] of [
    [{}, true],
    [{ NO_COLOR: '1' }, false],
    [{ TERM: 'dumb' }, false],
  ] as const) {
    const { Writable } = await import('node:stream');
    let text = '';
    const terminal = Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          text += chunk;
          done();
        },
      }),
      { isTTY: true },
    );
    await rig.run(['status'], { stdout: terminal, environment });
    strictEqual(text.includes('\u001b[32m'), hasColour);
  }
});

test('status -o json is what the mesh says', async () => {
  await using rig = await openCliRig({ 'GET /v1/status': STATUS });
  deepStrictEqual(JSON.parse((await rig.run(['status', '-o', 'json'])).stdout), STATUS);
});

test('get shows one namespace, or all, in order', async () => {
  await using rig = await openCliRig({ 'GET /v1/objects': OBJECTS });
  const one = await rig.run(['get', 'svc', '-n', 'shop']);
  strictEqual(one.stdout, 'NAME   TYPE        PORT(S)\nb      ClusterIP   80/TCP\n');
  const all = await rig.run(['get', 'svc', '-A', '-o', 'name']);
  strictEqual(all.stdout, 'service/a\nservice/b\n');
  const list = JSON.parse((await rig.run(['get', 'svc', '-A', '-o', 'json'])).stdout);
  deepStrictEqual([list.kind, list.apiVersion, list.items.length], ['List', 'v1', 2]);
});

test('get of one object gives the object, and fails when it is not there', async () => {
  await using rig = await openCliRig({ 'GET /v1/objects': OBJECTS });
  const found = await rig.run(['get', 'svc/b', '-n', 'shop', '-o', 'yaml']);
  match(found.stdout, /^apiVersion: v1\nkind: Service\nmetadata:\n {2}name: b\n/);
  const missing = await rig.run(['get', 'svc', 'b']);
  deepStrictEqual(
    [missing.exitCode, missing.stderr],
    [1, 'error: Service "b" not found in namespace "default"\n'],
  );
});

test('apply sends files, folders and standard input', async () => {
  await using rig = await openCliRig({ 'POST /v1/apply': DONE });
  mkdirSync(join(rig.folder, 'in', 'below'), { recursive: true });
  for (const name of ['in/b.yaml', 'in/a.json', 'in/notes.txt', 'in/.hidden.yaml', 'in/below/c.yml']) {
    writeFileSync(join(rig.folder, name), name);
  }
  const stdin = Readable.from(['from stdin']);
  const { exitCode, stdout } = await rig.run(
    ['apply', '-f', 'in', '-f', '-', '-n', 'shop', '--wait', '--timeout', '5s'],
    { stdin },
  );
  deepStrictEqual([exitCode, stdout], [0, 'service/a created\n']);
  await rig.run(['apply', '-R', '-f', 'in']);
  const [first, second] = rig.bodies as { files: { name: string }[] }[];
  deepStrictEqual(first, {
    files: [
      { name: 'in/a.json', text: 'in/a.json' },
      { name: 'in/b.yaml', text: 'in/b.yaml' },
      { name: 'standard input', text: 'from stdin' },
    ],
    namespace: 'shop',
    dryRun: false,
    wait: true,
    timeoutMs: 5000,
  });
  deepStrictEqual(
    second?.files.map(({ name }) => name),
    ['in/a.json', 'in/b.yaml', 'in/below/c.yml'],
  );
});

const outcomes: readonly (readonly [string, Partial<ApplyAnswer>, RegExp])[] = [
  [
    'was refused',
    {
      accepted: false,
      diagnostics: [
        {
          code: 'LTN1002',
          severity: 'error',
          args: { field: 'prots', suggestion: 'ports' },
          at: { file: 'x.yaml', line: 3, column: 5 },
        },
      ],
    },
    /x\.yaml:3:5: error LTN1002: unknown field prots\n {2}Did you mean ports\?\nerror: nothing was changed/,
  ],
  ['did not reach all proxies in time', { pending: ['web-0'] }, /have not taken the change in time: web-0/],
  [
    'was refused by Envoy',
    { heldBack: [HELD] },
    /Envoy refuses VirtualService shop\/bad: regex \[31m too big/,
  ],
];
for (const [name, outcome, expected] of outcomes) {
  test(`an apply that ${name} fails and says why`, async () => {
    await using rig = await openCliRig({ 'POST /v1/apply': { ...DONE, ...outcome } });
    const { exitCode, stderr } = await rig.run(['apply', '-f', '-']);
    strictEqual(exitCode, 1);
    match(stderr, expected);
  });
}

test('a warning does not fail an apply', async () => {
  const diagnostics = [{ code: 'LTN1205', severity: 'warning', args: {} }];
  await using rig = await openCliRig({ 'POST /v1/apply': { ...DONE, diagnostics } });
  const { exitCode, stderr } = await rig.run(['apply', '-f', '-']);
  strictEqual(exitCode, 0);
  match(stderr, /warning LTN1205/);
});

test('delete names objects as KIND NAME... and as KIND/NAME...', async () => {
  await using rig = await openCliRig({ 'POST /v1/delete': DONE });
  await rig.run(['delete', 'vs', 'a', 'b', '-n', 'shop']);
  await rig.run(['delete', 'dr/a', 'ns/b']);
  deepStrictEqual(
    (rig.bodies as { refs: unknown }[]).map(({ refs }) => refs),
    [
      [
        { kind: 'VirtualService', namespace: 'shop', name: 'a' },
        { kind: 'VirtualService', namespace: 'shop', name: 'b' },
      ],
      [
        { kind: 'DestinationRule', namespace: 'default', name: 'a' },
        { kind: 'Namespace', namespace: '', name: 'b' },
      ],
    ],
  );
});

test('edit applies what the editor saved, and nothing when nothing was changed', async () => {
  const source = { ref: HELD, file: '/x', line: 1, text: '\nkind: Service # mine\n\n' };
  await using rig = await openCliRig({ 'GET /v1/sources': source, 'POST /v1/apply': DONE });
  const unchanged = await rig.run(['edit', 'svc', 'a']);
  deepStrictEqual(
    [unchanged.exitCode, unchanged.stdout, rig.bodies.length],
    [0, 'Nothing was changed.\n', 0],
  );
  const runCommand = async (words: readonly string[]): Promise<number> => {
    const file = words.at(-1) ?? '';
    strictEqual(readFileSync(file, 'utf8'), 'kind: Service # mine\n');
    writeFileSync(file, 'kind: Other');
    return 0;
  };
  const changed = await rig.run(['edit', 'svc/a'], { runCommand });
  deepStrictEqual([changed.exitCode, changed.stdout], [0, 'service/a created\n']);
  deepStrictEqual((rig.bodies[0] as { files: { text: string }[] }).files[0]?.text, 'kind: Other');
  ok(!readdirSync(rig.folder).some((name) => name.startsWith('lateen-edit-')));
});

test('an edit that is refused keeps the text for another try', async () => {
  const source = { ref: HELD, file: '/x', line: 1, text: 'a: 1' };
  await using rig = await openCliRig({
    'GET /v1/sources': source,
    'POST /v1/apply': { ...DONE, accepted: false, objects: [] },
  });
  const runCommand = async (words: readonly string[]): Promise<number> => {
    writeFileSync(words.at(-1) ?? '', 'bad');
    return 0;
  };
  const { exitCode, stderr } = await rig.run(['edit', 'svc/a'], { runCommand });
  strictEqual(exitCode, 1);
  ok(existsSync(/kept in (\S+)/.exec(stderr)?.[1] ?? ''));
});

test("exec gives the command the workload's way into the mesh, and its exit code back", async () => {
  await using rig = await openCliRig({
    'GET /v1/exec': { env: { HTTP_PROXY: 'http://p' }, cwd: '/', identity: '' },
  });
  let got: unknown;
  const { exitCode } = await rig.run(['exec', 'web', '--', 'curl', '-s', 'http://a'], {
    environment: { PATH: '/bin', HTTP_PROXY: 'other' },
    runCommand: async (words, environment) => {
      got = [words, environment];
      return 7;
    },
  });
  deepStrictEqual(
    [exitCode, got],
    [7, [['curl', '-s', 'http://a'], { PATH: '/bin', HTTP_PROXY: 'http://p' }]],
  );
});

test('logs and events are passed on as they come', async () => {
  const event = { time: 't', type: 'Warning', subject: 's', message: 'm\u0007' };
  await using rig = await openCliRig({
    'GET /v1/logs': (query: URLSearchParams) =>
      `${query.get('name')} ${query.get('container')} ${query.get('tail')}\n`,
    'GET /v1/events': `${JSON.stringify(event)}\n`,
  });
  strictEqual((await rig.run(['logs', 'web', '-c', 'app', '--tail', '3'])).stdout, 'web app 3\n');
  strictEqual((await rig.run(['events'])).stdout, 't  s  m \n');
});

test('version knows this program and the mesh that runs', async () => {
  await using alone = await openCliRig(undefined);
  strictEqual((await alone.run(['version'])).stdout, 'client version: 1.2.3\nno mesh is running\n');
  await using rig = await openCliRig({ 'GET /v1/status': STATUS });
  deepStrictEqual(JSON.parse((await rig.run(['version', '-o', 'json'])).stdout), {
    clientVersion: '1.2.3',
    controlPlane: '1.2.3',
  });
});

const completions: readonly (readonly [readonly string[], readonly string[]])[] = [
  [['st'], ['status']],
  [['get', 'virtual'], ['virtualservices']],
  [
    ['get', 'svc', ''],
    ['a', 'b'],
  ],
  [['get', '-n', ''], ['shop']],
  [['get', 'vs', '-o', 'j'], ['json']],
  [['get', '--out'], ['--output']],
  [['logs', 'w'], ['web']],
  [
    ['logs', 'web', '-c', ''],
    ['app', 'istio-proxy'],
  ],
  [['exec', 'web', '--', 'cu'], []],
  [['apply', '-f', 's'], []],
  [['completion', 'z'], ['zsh']],
  [['mtls', ''], ['readiness']],
  [['jwt', 'check', '-', '--for', 'w'], ['web']],
  [
    ['mtls', 'readiness', '-'],
    ['--dir', '--namespace', '--output'],
  ],
  [['nosuch', ''], []],
];
for (const [words, expected] of completions) {
  test(`completion of "${words.join(' ')}" gives ${expected.join(' ') || 'nothing'}`, async () => {
    await using rig = await openCliRig({ 'GET /v1/status': STATUS, 'GET /v1/objects': OBJECTS });
    const { stdout } = await rig.run(['__complete', '--', ...words]);
    deepStrictEqual(stdout.split('\n').slice(0, -1), expected);
  });
}

test('docs/cli.md describes every command', async () => {
  await using rig = await openCliRig(undefined);
  const text = readFileSync(join(import.meta.dirname, '../../docs/cli.md'), 'utf8');
  const commands = [...(await rig.run(['--help'])).stdout.matchAll(/^ {2}([a-z-]+) /gm)].map(
    ([, name]) => name ?? '',
  );
  ok(commands.length > 10);
  const missing = commands.filter(
    (name) => name !== 'help' && !new RegExp(`^\\| \`${name}[ \`]`, 'm').test(text),
  );
  deepStrictEqual(missing, []);
});
