import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decodeObject } from '#api/decode-object.ts';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import { systemClock } from '#base/clock.ts';
import { createLogger, LogLevels } from '#base/logger.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { createMesh } from './mesh.ts';
import { MeshSettings, type MeshSettingsOptions } from './mesh-settings.ts';

/** Settings over a folder with the given files, and a mesh that follows them. */
function open(
  context: TestContext,
  files: Readonly<Record<string, string>>,
  more: Partial<MeshSettingsOptions> = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-settings-'));
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  for (const [name, text] of Object.entries(files)) write(name, text);
  const lines: string[] = [];
  const clock = systemClock();
  const log = createLogger({
    clock,
    levels: new LogLevels(),
    format: 'text',
    sink: (line) => lines.push(line),
  });
  const settings = new MeshSettings({
    meshConfigFile: join(folder, 'mesh'),
    networksFile: join(folder, 'networks'),
    namespace: 'istio-system',
    revision: '',
    sharedConfigMap: '',
    clock,
    log,
    ...more,
  });
  const mesh = createMesh({
    meshConfig: defaultMeshConfig(),
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    onError: (_collection, _key, error) => {
      throw error;
    },
  });
  let changed = Promise.withResolvers<void>();
  settings.follow(mesh, true, () => {
    changed.resolve();
    changed = Promise.withResolvers();
  });
  context.after(() => {
    settings[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  const setMap = async (name: string, data: Readonly<Record<string, string>>): Promise<void> => {
    const metadata = { name, namespace: 'istio-system' };
    const { object } = decodeObject(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata, data },
      { defaultNamespace: '' },
    );
    mesh.objects.apply({ set: object === undefined ? [] : [object], remove: [] });
    await mesh.driver.settled();
  };
  return {
    write,
    setMap,
    lines,
    nextChange: () => changed.promise,
    trustDomain: () => mesh.meshConfig.get(MESH_KEY)?.trustDomain,
    networks: () => Object.keys(mesh.meshNetworks.get(MESH_KEY)?.networks ?? {}),
    settings,
  };
}

test('a changed file is in the mesh at once, a bad one is logged and changes nothing', async (context) => {
  const { write, lines, nextChange, trustDomain, settings } = open(context, { mesh: 'trustDomain: one' });
  strictEqual(settings.config.trustDomain, 'one');
  const [second] = [nextChange(), write('mesh', 'trustDomain: two')];
  await second;
  strictEqual(trustDomain() ?? settings.config.trustDomain, 'two');
  // The bad text changes nothing, so that what comes behind it is the next change.
  write('mesh', 'trustDomain: [');
  await new Promise<void>((seen) => {
    const look = (): void =>
      lines.some((line) => line.includes('LTN1001')) ? seen() : void setImmediate(look);
    look();
  });
  strictEqual(settings.config.trustDomain, 'two');
  const [third] = [nextChange(), write('mesh', 'trustDomain: three')];
  await third;
  strictEqual(settings.config.trustDomain, 'three');
});

test('without a file the ConfigMap counts, of the revision, over the shared one', async (context) => {
  const { setMap, trustDomain, networks, settings } = open(
    context,
    {},
    { revision: 'canary', sharedConfigMap: 'istio-user' },
  );
  await setMap('istio', { mesh: 'trustDomain: stable' });
  strictEqual(trustDomain(), 'cluster.local');
  await setMap('istio-user', { mesh: 'trustDomain: shared\naccessLogFile: /dev/stdout' });
  strictEqual(trustDomain(), 'shared');
  await setMap('istio-canary', { mesh: 'trustDomain: canary', meshNetworks: 'networks: { n1: {} }' });
  deepStrictEqual(
    [trustDomain(), settings.config.accessLogFile, networks()],
    ['canary', '/dev/stdout', ['n1']],
  );
  await setMap('istio-canary', { mesh: 'trustDomain: a/b', meshNetworks: 'networks: { n2: {} }' });
  deepStrictEqual([trustDomain(), networks()], ['canary', ['n2']]);
  await setMap('istio-canary', {});
  deepStrictEqual([trustDomain(), networks()], ['shared', []]);
});

test('with a file the ConfigMap does not count, but the shared one does', async (context) => {
  const files = { mesh: 'trustDomain: file', networks: 'networks: { n1: {} }' };
  const { setMap, trustDomain, networks, lines, settings } = open(context, files, {
    sharedConfigMap: 'istio-user',
  });
  await setMap('istio', { mesh: 'trustDomain: map', meshNetworks: 'networks: { n2: {} }' });
  await setMap('istio-user', { mesh: 'trustDomain: shared\nconnectTimeout: 5s\nnonsense: 1' });
  deepStrictEqual([trustDomain(), settings.config.connectTimeout, networks()], ['file', '5s', ['n1']]);
  match(
    lines.join('\n'),
    /ConfigMap istio-system\/istio-user, mesh:3:1: error LTN1002: unknown field nonsense/,
  );
});
