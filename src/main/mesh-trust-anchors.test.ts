/** Roots of mesh config on their way into the bundle that agents get. */
import { deepStrictEqual, fail } from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { AUTHORITY_ANCHORS } from '#model/trust-bundle.ts';
import { ProxyConfigSchema } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { openMeshTrustAnchors } from './mesh-trust-anchors.ts';
import { createMesh } from './mesh.ts';

test("roots of mesh config come after the authority's, follow the config, and go with it", async () => {
  const [own, east, west] = await Promise.all(['own', 'east', 'west'].map((name) => createIssuer(name)));
  const [ownPem = '', eastPem = '', westPem = ''] = [own?.root, east?.root, west?.root];
  const meshConfig = { ...defaultMeshConfig(), caCertificates: [{ pem: eastPem }] };
  const onError = (...failure: readonly unknown[]): void => fail(failure.map(String).join(' '));
  const mesh = createMesh({ meshConfig, clusterId: 'c', clusterDomain: 'cluster.local', onError });
  mesh.trustAnchors.set(AUTHORITY_ANCHORS, { rootPems: [ownPem], peerRootPems: [], revocationPems: [] });
  const names = new Map(
    [ownPem, eastPem, westPem].map((pem, at) => [pem.trim(), ['own', 'east', 'west'][at]]),
  );
  const bundle = async (): Promise<readonly (string | undefined)[]> => {
    mesh.driver.poke();
    await mesh.driver.settled();
    const [entry] = mesh.graph.trustBundle.bucket(MESH_KEY).values();
    const pems = fromBinary(ProxyConfigSchema, entry?.resource.bytes ?? new Uint8Array()).caCertificatesPem;
    return pems.map((pem) => names.get(pem.trim()));
  };
  const settings = { mesh, clock: new TestClock(), log: silentLogger(), loopback: false };
  using anchors = openMeshTrustAnchors(settings);
  deepStrictEqual(await bundle(), ['own', 'east']);
  mesh.meshConfig.set(MESH_KEY, { ...meshConfig, caCertificates: [{ pem: westPem }] });
  deepStrictEqual(await bundle(), ['own', 'west']);
  mesh.meshConfig.set(MESH_KEY, defaultMeshConfig());
  deepStrictEqual(await bundle(), ['own']);
  void anchors;
});
