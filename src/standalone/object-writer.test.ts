import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import { systemClock } from '#base/clock.ts';
import { objectKey } from '#base/object-ref.ts';
import type { ApplyRequest, DeleteRequest } from '#doors/control-protocol.ts';
import type { ControlPlane } from './control-plane.ts';
import { openMeshFolder } from './mesh-folder.ts';
import { ObjectWriter } from './object-writer.ts';

/** What ObjectWriter and the folder need of a control plane: a map of objects. */
function fakeControlPlane(): { readonly plane: ControlPlane; readonly names: () => string[] } {
  const objects = new Map<string, MeshObject>();
  const plane: Pick<
    ControlPlane,
    'apply' | 'objects' | 'warnings' | 'findings' | 'heldBack' | 'waitForProxies'
  > = {
    async apply({ set, remove }) {
      for (const ref of remove) objects.delete(objectKey(ref));
      for (const object of set) objects.set(objectKey(object), object);
    },
    objects: () => [...objects.values()],
    warnings: (refs) =>
      refs
        .filter(({ name }) => name === 'warned')
        .map((resource) => ({
          code: 'LTN1008',
          severity: 'warning',
          resource,
          path: 'spec.ports',
          args: {},
        })),
    findings: () => [],
    heldBack: () => [],
    waitForProxies: async () => ({ pending: ['a-0'] }),
  };
  return { plane: plane as ControlPlane, names: () => [...objects.keys()].sort() };
}

const SERVICES = `# who calls whom
apiVersion: v1
kind: Service
metadata: { name: a }
spec: { ports: [{ port: 80 }] } # the front
---
apiVersion: v1
kind: Service
metadata: { name: b }
spec: { ports: [{ port: 80 }] }
`;

function service(name: string, port: number, namespace = ''): string {
  const where = namespace === '' ? '' : `, namespace: ${namespace}`;
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}${where} }\nspec: { ports: [{ port: ${port} }] }\n`;
}

function apply(text: string, more: Partial<ApplyRequest> = {}): ApplyRequest {
  const files = [{ name: 'in.yaml', text }];
  return { files, namespace: '', dryRun: false, wait: false, timeoutMs: 1000, ...more };
}

function remove(names: readonly string[], more: Partial<DeleteRequest> = {}): DeleteRequest {
  const refs = names.map((name) => ({ kind: 'Service', namespace: 'default', name }));
  return { refs, files: [], namespace: '', ignoreNotFound: false, wait: false, timeoutMs: 1000, ...more };
}

async function withFolder(
  run: (parts: { dir: string; writer: ObjectWriter; names: () => string[] }) => Promise<void>,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'lateen-writer-'));
  writeFileSync(join(dir, 'services.yaml'), SERVICES);
  const { plane, names } = fakeControlPlane();
  const clock = systemClock();
  await using folder = await openMeshFolder(dir, plane, clock);
  await run({ dir, writer: new ObjectWriter({ dir, folder, controlPlane: plane, clock }), names });
  rmSync(dir, { recursive: true });
}

test('apply changes an object in the file that it stands in, and leaves the others alone', () =>
  withFolder(async ({ dir, writer }) => {
    const answer = await writer.apply(apply(service('b', 81)));
    deepStrictEqual(
      answer.objects.map(({ name, action }) => `${name} ${action}`),
      ['b configured'],
    );
    const text = readFileSync(join(dir, 'services.yaml'), 'utf8');
    ok(text.startsWith(SERVICES.slice(0, SERVICES.indexOf('---'))), text);
    match(text, /port: 81/);
  }));

test('apply puts a new object into a file of its own, where the control plane finds it', () =>
  withFolder(async ({ dir, writer, names }) => {
    await writer.apply(apply(`${service('c', 1)}---\n${service('d', 2)}`, { namespace: 'shop' }));
    deepStrictEqual(readdirSync(join(dir, 'shop')).sort(), ['service-c.yaml', 'service-d.yaml']);
    match(readFileSync(join(dir, 'shop', 'service-c.yaml'), 'utf8'), /namespace: shop/);
    deepStrictEqual(names(), ['Service/default/a', 'Service/default/b', 'Service/shop/c', 'Service/shop/d']);
  }));

test('a warning about an object is placed in the text that came, not in the file that it went to', () =>
  withFolder(async ({ writer }) => {
    const answer = await writer.apply(apply(`# comment\n---\n${service('warned', 1)}`));
    deepStrictEqual(
      answer.diagnostics.map(({ code, at }) => [code, at?.file, at?.line]),
      [['LTN1008', 'in.yaml', 6]],
    );
  }));

test('an item of a List is written as it came, the values of a Secret too', () =>
  withFolder(async ({ dir, writer }) => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { key: 'dmFsdWU=' } };
    await writer.apply(apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [secret] })));
    match(readFileSync(join(dir, 'default', 'secret-s.yaml'), 'utf8'), /key: dmFsdWU=/);
  }));

test('apply of what is there already writes nothing', () =>
  withFolder(async ({ dir, writer }) => {
    const answer = await writer.apply(apply(service('a', 80)));
    strictEqual(answer.objects[0]?.action, 'unchanged');
    strictEqual(readFileSync(join(dir, 'services.yaml'), 'utf8'), SERVICES);
  }));

test('one mistake refuses the whole of an apply, with its place', () =>
  withFolder(async ({ dir, writer }) => {
    const answer = await writer.apply(
      apply(`${service('c', 1)}---\n${service('a', 5).replace('ports', 'prots')}`),
    );
    strictEqual(answer.accepted, false);
    const [finding] = answer.diagnostics;
    deepStrictEqual(
      [finding?.code, finding?.at?.file, finding?.at?.line, finding?.path],
      ['LTN1002', 'in.yaml', 9, 'spec.prots'],
    );
    deepStrictEqual(readdirSync(dir), ['services.yaml']);
  }));

test('an object twice in one apply is refused', () =>
  withFolder(async ({ writer }) => {
    const answer = await writer.apply(apply(`${service('c', 1)}---\n${service('c', 2)}`));
    deepStrictEqual([answer.accepted, answer.diagnostics[0]?.code], [false, 'LTN1201']);
  }));

test('a dry run tells what would be, and does nothing', () =>
  withFolder(async ({ dir, writer }) => {
    const answer = await writer.apply(apply(service('c', 1), { dryRun: true }));
    strictEqual(answer.objects[0]?.action, 'created');
    deepStrictEqual(readdirSync(dir), ['services.yaml']);
  }));

test('delete takes objects out of their file, and the file with the last one', () =>
  withFolder(async ({ dir, writer, names }) => {
    await writer.remove(remove(['a']));
    deepStrictEqual(names(), ['Service/default/b']);
    await writer.remove(remove(['b']));
    ok(!existsSync(join(dir, 'services.yaml')));
    deepStrictEqual(names(), []);
  }));

test('delete of what is not there fails, unless that is fine', () =>
  withFolder(async ({ writer, names }) => {
    await rejects(() => writer.remove(remove(['a', 'nobody'])), /Service "nobody" not found/);
    strictEqual(names().length, 2);
    const answer = await writer.remove(remove(['nobody'], { ignoreNotFound: true }));
    deepStrictEqual(answer.objects, []);
  }));

test('waiting names the proxies that lag behind', () =>
  withFolder(async ({ writer }) => {
    const answer = await writer.apply(apply(service('c', 1), { wait: true }));
    deepStrictEqual(answer.pending, ['a-0']);
  }));

test('changes at the same time are made one after the other', () =>
  withFolder(async ({ dir, writer }) => {
    await Promise.all([
      writer.apply(apply(service('a', 1))),
      writer.apply(apply(service('b', 2))),
      writer.remove(remove(['a'])),
    ]);
    const text = readFileSync(join(dir, 'services.yaml'), 'utf8');
    ok(text.includes('name: b') && text.includes('port: 2') && !text.includes('name: a'), text);
  }));

test('the text of an object is found with its comments', () =>
  withFolder(async ({ dir, writer }) => {
    const source = writer.source({ kind: 'Service', namespace: 'default', name: 'a' });
    strictEqual(source?.file, join(dir, 'services.yaml'));
    match(source?.text ?? '', /# the front/);
  }));
