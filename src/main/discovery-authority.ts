/**
 * The certificate authority of pilot-discovery: where its root lies (in a folder that is mounted, in the state folder, or in a Secret
 * that all control planes of a cluster share), how long certificates live, and whose tokens it takes.
 */
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import {
  type AuthoritySettings,
  type CertificateAuthority,
  openCertificateAuthority,
  openSharedAuthority,
  type SharedAuthority,
} from '#ca/certificate-authority.ts';
import { readPluggedIn } from '#ca/plugged-in-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { KubeSecret } from '#controllers/kube-secret.ts';
import type { Leadership } from '#kube/leader-election.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';
import type { KubeAccess } from './kube-access.ts';
import { openKubeTokens } from './kube-tokens.ts';
import type { Mesh } from './mesh.ts';
import { stateFolder } from './state-folder.ts';

export interface DiscoveryAuthorityParts {
  readonly environment: DiscoveryEnvironment;
  readonly mesh: Mesh;
  readonly meshConfig: MeshConfigJson;
  readonly kube: KubeAccess | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Istio's Secret and its type. */
const ROOT_SECRET = 'istio-ca-secret';
const ROOT_SECRET_TYPE = 'istio.io/ca-root';

/** The authority of a folder: one that is mounted, else our own. Errors: rejects with a text for people. */
export async function openFolderAuthority(parts: DiscoveryAuthorityParts): Promise<CertificateAuthority> {
  const authority = await openCertificateAuthority({
    ...settingsOf(parts),
    folder: join(stateFolder(), 'ca'),
    pluggedInFolder: parts.environment.rootCaFolder,
  });
  if (!authority.ok) throw new Error(authority.error);
  return authority.value;
}

/** True when an authority is mounted, whether or not it can be used. */
export async function isAuthorityMounted({ environment, clock }: DiscoveryAuthorityParts): Promise<boolean> {
  return (await readPluggedIn(environment.rootCaFolder, clock.nowMs())) !== undefined;
}

/** The authority that the control planes of a cluster share. */
export function openClusterAuthority(
  parts: DiscoveryAuthorityParts & { readonly kube: KubeAccess },
  namespace: string,
  leadership: Leadership,
): SharedAuthority {
  const { client } = parts.kube;
  const secret = { client, namespace, name: ROOT_SECRET, type: ROOT_SECRET_TYPE };
  const place = new KubeSecret({ ...secret, clock: parts.clock, rng: systemRng() });
  return openSharedAuthority(settingsOf(parts), { place, leadership });
}

function settingsOf(parts: DiscoveryAuthorityParts): AuthoritySettings {
  const { environment, mesh, meshConfig, kube, clock, log } = parts;
  const { defaultCertificateTtlMs, maxCertificateTtlMs, tokenAudiences } = environment;
  return {
    trustDomain: meshConfig.trustDomain ?? 'cluster.local',
    trustDomainAliases: meshConfig.trustDomainAliases ?? [],
    signer: {
      ...defaultSignerOptions,
      ...(defaultCertificateTtlMs === undefined ? {} : { defaultTtlMs: defaultCertificateTtlMs }),
      ...(maxCertificateTtlMs === undefined ? {} : { maxTtlMs: maxCertificateTtlMs }),
    },
    tokenVerifiers: kube === undefined ? [] : [openKubeTokens(mesh, kube.reviewer, tokenAudiences, clock)],
    clock,
    log: log.scope('ca'),
  };
}
