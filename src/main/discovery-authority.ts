/**
 * The certificate authority of pilot-discovery: where its root lies (in a folder that is mounted, in the state folder, or in a Secret
 * that all control planes of a cluster share), how long certificates live, and whose tokens it takes.
 */
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { Scope } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import {
  type AuthoritySettings,
  type CertificateAuthority,
  openBroughtAuthority,
  openCertificateAuthority,
  openSharedAuthority,
} from '#ca/certificate-authority.ts';
import type { TokenVerifier } from '#ca/caller.ts';
import { type ReadPluggedIn, readPluggedInSecret } from '#ca/plugged-in-authority.ts';
import type { FoundSecret } from '#ca/shared-root.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { KubeSecret } from '#controllers/kube-secret.ts';
import type { Leadership } from '#kube/leader-election.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';
import type { KubeAccess } from './kube-access.ts';
import { openKubeTokens } from './kube-tokens.ts';
import type { Mesh } from './mesh.ts';
import { openNodeAccounts } from './node-accounts.ts';
import { stateFolder } from './state-folder.ts';

export interface DiscoveryAuthorityParts {
  readonly environment: DiscoveryEnvironment;
  readonly mesh: Mesh;
  readonly meshConfig: MeshConfigJson;
  readonly kube: KubeAccess | undefined;
  /** Verifiers of other issuers' tokens. */
  readonly issuedTokens: readonly TokenVerifier[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Istio's Secret and its type. */
const ROOT_SECRET = 'istio-ca-secret';
const ROOT_SECRET_TYPE = 'istio.io/ca-root';
/** The operator's, where it is not mounted. */
const BROUGHT_SECRET = 'cacerts';
const RETRY_MS = 5_000;

/** The authority of a folder: one that is mounted, else our own. Errors: rejects with a text for people. */
export async function openFolderAuthority(
  settings: AuthoritySettings,
  mountedFolder: string,
): Promise<CertificateAuthority> {
  const folder = join(stateFolder(), 'ca');
  const authority = await openCertificateAuthority({ ...settings, folder, pluggedInFolder: mountedFolder });
  if (!authority.ok) throw new Error(authority.error);
  return authority.value;
}

/** The authority of a cluster: `problem` says what it waits for. */
export interface ClusterAuthority extends Disposable {
  readonly opened: Promise<CertificateAuthority>;
  /** True where the root is the one that control planes share, and other clusters do not have it. */
  isShared(): boolean;
  problem(): string;
}

/** The authority of the operator's Secret if there is one at the start, else the one that control planes share. */
export function openClusterAuthority(
  settings: AuthoritySettings,
  { client }: KubeAccess,
  namespace: string,
  leadership: Leadership,
): ClusterAuthority {
  const { clock, log } = settings;
  const scope = new Scope();
  let isShared = false;
  let problem = (): string => `the Secret ${BROUGHT_SECRET} is not read yet`;
  const secret = (name: string, type: string): KubeSecret =>
    new KubeSecret({ client, namespace, name, type, clock, rng: systemRng() });
  const open = async (): Promise<CertificateAuthority> => {
    const read = await followBroughtSecret(secret(BROUGHT_SECRET, 'Opaque'), settings, scope);
    for (;;) {
      const brought = await openBroughtAuthority(settings, read);
      if (brought?.ok === true) return scope.add(brought.value);
      if (brought === undefined) break;
      // It may be put right, or taken away.
      problem = () => brought.error;
      log.error('the authority of the Secret cannot be used', { problem: brought.error });
      await new Promise<void>((resolve) => void scope.add(clock.schedule(RETRY_MS, resolve)));
    }
    const place = secret(ROOT_SECRET, ROOT_SECRET_TYPE);
    isShared = true;
    const shared = scope.add(openSharedAuthority(settings, { place, leadership }));
    problem = () => shared.root.problem;
    return shared.opened;
  };
  return {
    opened: open(),
    isShared: () => isShared,
    problem: () => problem(),
    [Symbol.dispose]: () => scope[Symbol.dispose](),
  };
}

/** Resolves when it is known whether there is a Secret; what is read then is always the newest. */
async function followBroughtSecret(
  place: KubeSecret,
  { clock, hasRevocations = true }: AuthoritySettings,
  scope: Scope,
): Promise<ReadPluggedIn> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let found: FoundSecret | undefined;
  scope.add(
    place.watch((now) => {
      found = now;
      resolve();
    }),
  );
  await promise;
  return async () =>
    found === undefined
      ? undefined
      : readPluggedInSecret(`Secret ${BROUGHT_SECRET}`, found.data, {
          nowUnixMs: clock.nowMs(),
          hasRevocations,
        });
}

/** Once for each mesh. */
export function authoritySettings(parts: DiscoveryAuthorityParts): AuthoritySettings {
  const { environment, mesh, meshConfig, kube, issuedTokens, clock, log } = parts;
  const { defaultCertificateTtlMs, maxCertificateTtlMs, tokenAudiences } = environment;
  return {
    trustDomain: meshConfig.trustDomain ?? 'cluster.local',
    trustDomainAliases: meshConfig.trustDomainAliases ?? [],
    signer: {
      ...defaultSignerOptions,
      ...(defaultCertificateTtlMs === undefined ? {} : { defaultTtlMs: defaultCertificateTtlMs }),
      ...(maxCertificateTtlMs === undefined ? {} : { maxTtlMs: maxCertificateTtlMs }),
    },
    ...(environment.trustedNodeAccounts.size === 0
      ? {}
      : { impersonation: openNodeAccounts(mesh, environment.trustedNodeAccounts) }),
    tokenVerifiers:
      kube === undefined
        ? issuedTokens
        : [...issuedTokens, openKubeTokens(mesh, kube.reviewer, tokenAudiences, clock)],
    hasRevocations: environment.hasRevocations,
    clock,
    log: log.scope('ca'),
  };
}
