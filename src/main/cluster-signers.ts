/**
 * Workload certificates by signers of the cluster (EXTERNAL_CA ISTIOD_RA_KUBERNETES_API): the API server is asked, and the signers' roots
 * are followed: a mounted file, and caCertificates of mesh config. Source: istio pilot/pkg/bootstrap/istio_ca.go createIstioRA.
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { type AsyncScope, toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { RegistrationAuthority } from '#ca/registration-authority.ts';
import { SignerRoots } from '#ca/signer-roots.ts';
import type { SignerOptions } from '#ca/signer.ts';
import { signByCluster } from '#kube/certificate-signing.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { Mesh } from './mesh.ts';

/** What the environment says of signers elsewhere. */
export interface ClusterSignerSettings {
  /** K8S_SIGNER. */
  readonly defaultSigner: string;
  /** CERT_SIGNER_DOMAIN. */
  readonly signerDomain: string;
}

export interface ClusterSignerParts {
  readonly mesh: Pick<Mesh, 'engine' | 'meshConfig'>;
  readonly client: KubeClient;
  readonly signer: SignerOptions;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Source: Istio security/pkg/pki/ra DefaultExtCACertDir; pilot/pkg/bootstrap defaultCACertPath. */
const MOUNTED_ROOT = './etc/external-ca-cert/root-cert.pem';
const CLUSTER_ROOT = '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt';
const USAGES = ['digital signature', 'key encipherment', 'server auth', 'client auth'];
const SIGNING_LIMIT_MS = 60_000;
const FILE_POLL_MS = 30_000;

/** Opens it; `scope` ends the following of roots. */
export async function openClusterSigners(
  { defaultSigner, signerDomain }: ClusterSignerSettings,
  { mesh, client, signer, clock, log }: ClusterSignerParts,
  scope: AsyncScope,
): Promise<RegistrationAuthority> {
  const scoped = log.scope('pkira');
  const roots = new SignerRoots();
  // Where signers are named, the cluster's own root is nobody's.
  const files = signerDomain === '' ? [MOUNTED_ROOT, CLUSTER_ROOT] : [MOUNTED_ROOT];
  scope.add(await followFile(files, roots, { clock, log: scoped }));
  followMeshConfig(mesh, roots, scoped);
  scope.add(mesh.engine.watch(mesh.meshConfig, () => followMeshConfig(mesh, roots, scoped)));
  return new RegistrationAuthority({
    defaultSigner,
    signerDomain,
    roots,
    defaultTtlMs: signer.defaultTtlMs,
    maxTtlMs: signer.maxTtlMs,
    clock,
    ask: ({ csrPem, signerName, ttlMs, spiffeId }) =>
      signByCluster(
        client,
        {
          csrPem,
          signerName,
          usages: USAGES,
          expirationSeconds: Math.floor(ttlMs / 1000),
          reason: `the certificate is for ${spiffeId}, as which the caller is known`,
        },
        { clock, timeoutMs: SIGNING_LIMIT_MS },
      ),
    onFault: (fault, detail) => scoped.warn('no certificate from the signer', { fault, detail }),
  });
}

function followMeshConfig({ meshConfig }: Pick<Mesh, 'meshConfig'>, roots: SignerRoots, log: Logger): void {
  const entries = (meshConfig.get(MESH_KEY)?.caCertificates ?? []).flatMap(
    ({ pem = '', certSigners = [] }) =>
      pem !== '' && certSigners.length > 0 ? [{ pem, signers: certSigners }] : [],
  );
  for (const { signers } of roots.setSigners(entries)) log.warn('caCertificates cannot be read', { signers });
}

/** The first of the files that is there, looked at again now and then. */
async function followFile(
  paths: readonly string[],
  roots: SignerRoots,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<Disposable> {
  let seen = '';
  let timer: Disposable = toDisposable(() => {});
  let isDisposed = false;
  const look = async (): Promise<void> => {
    const text = await firstOf(paths);
    if (isDisposed) return;
    if (text !== seen && !roots.setFile(text)) log.warn("the signers' root cannot be read", { paths });
    seen = text;
    timer = clock.schedule(FILE_POLL_MS, () => void look());
  };
  await look();
  return toDisposable(() => {
    isDisposed = true;
    timer[Symbol.dispose]();
  });
}

async function firstOf(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => '');
    if (text !== '') return text;
  }
  return '';
}
