import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { SecretSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { FileSecrets } from './file-secrets.ts';

const folder = mkdtempSync(join(tmpdir(), 'files-'));
after(() => rmSync(folder, { recursive: true }));
const issuer = await createIssuer('files');
const [one, two] = await Promise.all([issuer.issue({ dns: ['one'] }), issuer.issue({ dns: ['two'] })]);

const [certificatePath, keyPath, rootPath] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) =>
  join(folder, name),
);
const pair = `file-cert:${certificatePath}~${keyPath}`;
const roots = `file-root:${rootPath}`;

function write(path: string | undefined, text: string): void {
  writeFileSync(path ?? '', text);
}

/** What a secret holds, in short. */
function held(files: FileSecrets, name: string): string | undefined {
  const body = new Map(files.secrets()).get(name)?.body;
  if (body === undefined) return undefined;
  const { type } = fromBinary(SecretSchema, body);
  const source = type.case === 'tlsCertificate' ? type.value.certificateChain : undefined;
  const bytes = (source ?? (type.case === 'validationContext' ? type.value.trustedCa : undefined))?.specifier
    .value;
  const text = Buffer.from(bytes as Uint8Array).toString();
  return [one.chain, two.chain, issuer.root].indexOf(text).toString();
}

test('files are read when they are asked for, and handed on again when they change', () => {
  const clock = new TestClock();
  using files = new FileSecrets({ clock, log: silentLogger() });
  let changes = 0;
  using _watch = files.watch(() => changes++);
  write(certificatePath, one.chain);
  write(keyPath, one.key);
  for (const name of [pair, roots, 'default', 'file-cert:/a', 'file-root:']) files.follow(name);
  assert.deepStrictEqual([held(files, pair), held(files, roots), changes], ['0', undefined, 1]);
  write(rootPath, issuer.root);
  write(certificatePath, two.chain);
  write(keyPath, two.key);
  clock.advance(5_000);
  assert.deepStrictEqual([held(files, pair), held(files, roots), changes], ['1', '2', 2]);
  clock.advance(60_000);
  assert.equal(changes, 2);
});

test('a pair that does not fit, or a file that is gone, leaves what was last good', () => {
  const clock = new TestClock();
  using files = new FileSecrets({ clock, log: silentLogger() });
  write(certificatePath, one.chain);
  write(keyPath, one.key);
  files.follow(pair);
  for (const spoil of [
    () => write(keyPath, two.key),
    () => write(certificatePath, 'nonsense'),
    () => rmSync(keyPath ?? ''),
  ]) {
    spoil();
    clock.advance(5_000);
    assert.equal(held(files, pair), '0');
  }
  write(certificatePath, two.chain);
  write(keyPath, two.key);
  clock.advance(5_000);
  assert.equal(held(files, pair), '1');
});

test('the CA certificates of the machine have a name', () => {
  using files = new FileSecrets({ clock: new TestClock(), log: silentLogger() });
  files.follow('file-root:system');
  assert.equal([...files.secrets()].length, 1);
});
