/**
 * The port over TLS and the certificate authority behind it. On this machine both are there at once. On a cluster they come when
 * the cluster has been read (mesh config is in it) and there is a root: one that is mounted, or the one that all control
 * planes share, made by the one that leads. The leader also hands the roots out to the cluster's namespaces.
 */
import type { AsyncScope } from '#base/disposable.ts';
import { systemRng } from '#base/rng.ts';
import type { AuthoritySettings, CertificateAuthority } from '#ca/certificate-authority.ts';
import { readPluggedIn } from '#ca/plugged-in-authority.ts';
import { type SharedText, TrustConfigMaps } from '#controllers/trust-config-maps.ts';
import type { Readiness } from '#doors/health.ts';
import type { Leadership } from '#kube/leader-election.ts';
import {
  authoritySettings,
  type DiscoveryAuthorityParts,
  openClusterAuthority,
  openFolderAuthority,
} from './discovery-authority.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';
import { type ClusterSignerSettings, openClusterSigners } from './cluster-signers.ts';
import { addressOf, type DiscoveryFlags } from './discovery-flags.ts';
import { openIssuedTokens } from './issued-tokens.ts';
import type { KubeAccess } from './kube-access.ts';
import type { KubeFeed } from './kube-feed.ts';
import { isLoneControlPlane } from './lone-control-plane.ts';
import { type MeshMetrics, registerAuthorityMetrics, registerTrustBundleMetrics } from './mesh-metrics.ts';
import { meshNamespaces } from './mesh-namespaces.ts';
import type { MeshSettings } from './mesh-settings.ts';
import type { HostPort, XdsDoor } from './xds-door.ts';

export interface SecureDoorParts extends Omit<DiscoveryAuthorityParts, 'meshConfig' | 'issuedTokens'> {
  readonly flags: DiscoveryFlags;
  readonly settings: MeshSettings;
  readonly readiness: Readiness;
  readonly metrics: MeshMetrics;
  readonly leadership: Leadership;
}

const RETRY_MS = 5_000;

/**
 * Resolves when the port is open, at once where none is wanted. Errors: rejects where nothing can be waited for, with a text for
 * people.
 */
export async function openSecureDoor(
  given: SecureDoorParts,
  door: XdsDoor,
  cluster: KubeFeed | undefined,
  scope: AsyncScope,
): Promise<void> {
  const { flags, environment, settings, kube } = given;
  const address = addressOf(flags.secureGRPCAddr);
  if (address === undefined || !environment.hasCertificateAuthority) return;
  const parts = { ...given, issuedTokens: openIssuedTokens(environment.tokenRules, given, scope) };
  if (cluster === undefined || kube === undefined) {
    if (environment.signers !== undefined) throw new Error('EXTERNAL_CA needs a cluster');
    const options = authoritySettings({ ...parts, meshConfig: settings.config });
    const authority = await openFolderAuthority(options, environment.rootCaFolder);
    await serve(parts, door, address, { authority: scope.add(authority), isAlone: () => true });
  } else await openOnCluster({ ...parts, kube }, door, { cluster, address }, scope);
}

/** On a cluster, with the verifiers opened. */
type ClusterDoorParts = SecureDoorParts &
  Pick<DiscoveryAuthorityParts, 'issuedTokens'> & { readonly kube: KubeAccess };

async function openOnCluster(
  parts: ClusterDoorParts,
  door: XdsDoor,
  { cluster, address }: { readonly cluster: KubeFeed; readonly address: HostPort },
  scope: AsyncScope,
): Promise<void> {
  const { flags, environment, settings, mesh, kube, clock, log, readiness, leadership } = parts;
  let reason = (): string => '';
  let isOpen = false;
  readiness.add(
    'certificate authority',
    () => isOpen,
    () => reason(),
  );
  await cluster.source.synced;
  await mesh.driver.settled();
  if (scope.isDisposed) return;
  const own = authoritySettings({ ...parts, meshConfig: settings.config });
  const { rootCaFolder, signers } = environment;
  const given = signers === undefined ? own : await withSigners(own, signers, parts, scope);
  let authority: CertificateAuthority;
  let isAlone = (): boolean => false;
  if ((await readPluggedIn(rootCaFolder, { nowUnixMs: clock.nowMs() })) !== undefined) {
    let problem = '';
    reason = () => problem;
    authority = scope.add(await openMounted(given, rootCaFolder, (text) => (problem = text)));
  } else {
    const found = scope.add(openClusterAuthority(given, kube, flags.namespace, leadership));
    reason = () => found.problem();
    authority = await found.opened;
    // What an operator brings may sign in other clusters too, whose proxies nobody here knows.
    if (found.isShared()) isAlone = () => isLoneControlPlane(mesh, flags.namespace, environment.podName);
  }
  await serve(parts, door, address, { authority, isAlone });
  isOpen = true;
  const { client } = kube;
  const common = { client, leadership, clock, rng: systemRng(), log: log.scope('roots') };
  const namespaces = meshNamespaces(mesh);
  for (const [name, content] of trustTexts(authority, environment)) {
    scope.add(new TrustConfigMaps({ ...common, namespaces, name, content }));
  }
}

/** What pods mount, by name of the ConfigMap. Source: istio pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go. */
function trustTexts(
  { rotation }: CertificateAuthority,
  { rootsConfigMap, revocationsConfigMap, hasRevocations }: DiscoveryEnvironment,
): readonly (readonly [string, SharedText])[] {
  const watch = (changed: () => void): Disposable => rotation.watch(changed);
  const roots = { key: 'root-cert.pem', text: () => rotation.rootsPem, watch };
  const lists = (): string => rotation.revocations.map(({ pem }) => pem).join('');
  const revocations = { key: 'ca-crl.pem', text: lists, watch };
  return [[rootsConfigMap, roots], ...(hasRevocations ? [[revocationsConfigMap, revocations] as const] : [])];
}

/** The settings of an authority that has workload certificates signed by the cluster's signers. */
async function withSigners(
  settings: AuthoritySettings,
  signers: ClusterSignerSettings,
  { mesh, kube, clock, log }: ClusterDoorParts,
  scope: AsyncScope,
): Promise<AuthoritySettings> {
  const { signer } = settings;
  const parts = { mesh, client: kube.client, signer, clock, log };
  return { ...settings, registration: await openClusterSigners(signers, parts, scope) };
}

/** What is mounted may be put right while we wait. */
async function openMounted(
  settings: AuthoritySettings,
  folder: string,
  onProblem: (problem: string) => void,
): Promise<CertificateAuthority> {
  for (;;) {
    try {
      return await openFolderAuthority(settings, folder);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      settings.log.error('the mounted authority cannot be used', { problem });
      onProblem(problem);
      await new Promise<void>((resolve) => void settings.clock.schedule(RETRY_MS, resolve));
    }
  }
}

async function serve(
  { metrics, clock }: SecureDoorParts,
  door: XdsDoor,
  address: HostPort,
  { authority, isAlone }: { readonly authority: CertificateAuthority; readonly isAlone: () => boolean },
): Promise<void> {
  registerAuthorityMetrics(metrics.registry, authority, clock);
  await door.listenSecurely(authority, address, { isAlone });
  registerTrustBundleMetrics(metrics.registry, door);
}
