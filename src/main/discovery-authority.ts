/** The certificate authority of pilot-discovery: where its root lies, how long certificates live, and whose tokens it takes. */
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { type CertificateAuthority, openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
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

/** Errors: rejects with a text for people. */
export async function openAuthority(parts: DiscoveryAuthorityParts): Promise<CertificateAuthority> {
  const { environment, mesh, meshConfig, kube, clock, log } = parts;
  const { defaultCertificateTtlMs, maxCertificateTtlMs, tokenAudiences } = environment;
  const authority = await openCertificateAuthority({
    folder: join(stateFolder(), 'ca'),
    pluggedInFolder: environment.rootCaFolder,
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
  });
  if (!authority.ok) throw new Error(authority.error);
  return authority.value;
}
