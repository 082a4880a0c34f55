import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '#base/logger.ts';
import { Secret } from '#base/secret.ts';
import { buildGrpcBootstrap, CertificateFiles, writeGrpcBootstrap } from './grpc-bootstrap.ts';
import type { WorkloadSecrets } from './workload-certificate.ts';

const NODE = { id: 'sidecar~10.0.0.1~a.ns~ns.svc.cluster.local', cluster: 'a.ns', metadata: { NAME: 'a' } };

test('the bootstrap leads to the agent, by absolute paths', () => {
  const settings = { bootstrapPath: 'b.json', certificateFolder: '/certs', isKept: false };
  assert.deepEqual(buildGrpcBootstrap(NODE, '/run/XDS', settings), {
    xds_servers: [
      {
        server_uri: 'unix:///run/XDS',
        channel_creds: [{ type: 'insecure' }],
        server_features: ['xds_v3'],
      },
    ],
    node: {
      id: NODE.id,
      metadata: { NAME: 'a', GENERATOR: 'grpc' },
      locality: { region: '', zone: '', sub_zone: '' },
    },
    certificate_providers: {
      default: {
        plugin_name: 'file_watcher',
        config: {
          certificate_file: '/certs/cert-chain.pem',
          private_key_file: '/certs/key.pem',
          ca_certificate_file: '/certs/root-cert.pem',
          refresh_interval: '900s',
        },
      },
    },
    server_listener_resource_name_template: 'xds.istio.io/grpc/lds/inbound/%s',
  });
  const without = buildGrpcBootstrap(NODE, 'XDS', {
    bootstrapPath: 'b.json',
    certificateFolder: undefined,
    isKept: false,
  });
  assert.equal('certificate_providers' in without, false);
  assert.match(JSON.stringify(without), /"unix:\/\/\//);
});

test('the bootstrap and the certificate are written, the key for the own user alone, anew with each certificate', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'grpc-'));
  const secrets = (version: string): WorkloadSecrets => ({
    privateKey: new Secret(`key ${version}`),
    chainPem: `chain ${version}`,
    rootsPem: `roots ${version}`,
    authorityRootsPem: '',
    revocationsPem: '',
    leaf: undefined as never,
  });
  const watchers = new Set<() => void>();
  const source = {
    current: undefined as WorkloadSecrets | undefined,
    watch(changed: () => void): Disposable {
      watchers.add(changed);
      return { [Symbol.dispose]: () => watchers.delete(changed) };
    },
  };
  const files = new CertificateFiles(join(folder, 'certs'), source, silentLogger());
  assert.equal(files.isThere, false);
  for (const version of ['1', '2']) {
    source.current = secrets(version);
    for (const changed of watchers) changed();
  }
  await files.written;
  assert.equal(files.isThere, true);
  const read = (name: string): string => readFileSync(join(folder, 'certs', name), 'utf8');
  assert.deepEqual(
    [read('key.pem'), read('cert-chain.pem'), read('root-cert.pem')],
    ['key 2', 'chain 2', 'roots 2'],
  );
  assert.equal(statSync(join(folder, 'certs/key.pem')).mode & 0o777, 0o600);
  await writeGrpcBootstrap(join(folder, 'x/b.json'), { a: 1 });
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'x/b.json'), 'utf8')), { a: 1 });
  await files.end(false);
  assert.deepEqual([watchers.size, readdirSync(join(folder, 'certs'))], [0, []]);
  rmSync(folder, { recursive: true });
});
