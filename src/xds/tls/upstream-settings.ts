/**
 * Which TLS an outbound cluster speaks: what a DestinationRule says, else mesh mTLS where the endpoint accepts it
 * (auto mTLS). Plain data in and out; the message is built in upstream-tls.ts.
 * Source: Istio pilot/pkg/networking/core/cluster_tls.go buildUpstreamTLSSettings, buildUpstreamClusterTLSContext.
 */
import type { ClientTlsSettings } from '#api/destination-rule.ts';
import type { MountedCertificates } from '#model/mounted-certificates.ts';
import type { SecretServers } from '#model/secret-servers.ts';

/** Mutual TLS as a server demands it, as far as policies of mesh and namespace tell. */
export type MutualTlsMode = 'UNKNOWN' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';

/** What the decision depends on. */
export interface TlsQuestion {
  /** `tls` of the DestinationRule that applies. */
  readonly settings: ClientTlsSettings | undefined;
  readonly autoMtls: boolean;
  readonly meshExternal: boolean;
  readonly serverMode: MutualTlsMode;
  /** Server name and ids for mesh mTLS. */
  readonly sni: string;
  readonly identities: readonly string[];
  /** subjectAltNames that a SIMPLE or MUTUAL connection to a ServiceEntry's service checks when the rule names none. */
  readonly defaultSubjectAltNames: readonly string[];
  /** Files of the proxy that stand in for its own certificate; undefined as a rule. */
  readonly mounted: MountedCertificates | undefined;
  /** What a rule says of certificates counts all the same. */
  readonly prefersRule: boolean;
  /** False where naming a Secret would make every sidecar in sight ask for it. */
  readonly mayUseCredentials: boolean;
  /** Who hands out secrets beside the client. */
  readonly secretServers: SecretServers;
}

/** What a cluster is to speak. `isAuto`: only to endpoints that accept it. */
export type UpstreamTls =
  | {
      readonly kind: 'mesh';
      readonly sni: string;
      readonly subjectAltNames: readonly string[];
      readonly isAuto: boolean;
      /** Matters only where the request names the host: elsewhere mesh mTLS always verifies. */
      readonly skipsVerification: boolean;
    }
  | {
      readonly kind: 'user';
      readonly settings: ClientTlsSettings;
      readonly subjectAltNames: readonly string[];
      readonly secretServers: SecretServers;
      /** Mesh mTLS by files of the proxy: the server may be a sidecar, so the names of what is carried are offered. */
      readonly isMesh: boolean;
    };

const CONFIG_MAP_SCHEME = 'configmap://';

/** Decides; undefined means plain text. */
export function upstreamTls(question: TlsQuestion): UpstreamTls | undefined {
  const { settings, sni, identities, mounted, secretServers } = question;
  if (settings === undefined) {
    const isWanted = question.autoMtls && !question.meshExternal;
    const isPossible = question.serverMode === 'PERMISSIVE' || question.serverMode === 'STRICT';
    if (!isWanted || !isPossible) return undefined;
    return mounted === undefined
      ? { kind: 'mesh', sni, subjectAltNames: identities, isAuto: true, skipsVerification: false }
      : mountedTls(mounted, { sni }, { subjectAltNames: identities, secretServers, isMesh: true });
  }
  const named = settings.subjectAltNames ?? [];
  const mode = settings.mode ?? 'DISABLE';
  if (mode === 'DISABLE') return undefined;
  if (mode !== 'SIMPLE' && mounted !== undefined && !question.prefersRule) {
    const subjectAltNames = named.length > 0 ? named : question.defaultSubjectAltNames;
    return mountedTls(mounted, settings, { subjectAltNames, secretServers, isMesh: mode === 'ISTIO_MUTUAL' });
  }
  if (mode === 'ISTIO_MUTUAL') {
    const subjectAltNames = named.length > 0 ? named : identities;
    const skipsVerification = settings.insecureSkipVerify === true;
    return { kind: 'mesh', sni: settings.sni || sni, subjectAltNames, isAuto: false, skipsVerification };
  }
  if (!question.mayUseCredentials && needsSecret(settings)) return undefined;
  if (mode === 'MUTUAL' && !hasClientCertificate(settings)) return undefined;
  const subjectAltNames = named.length > 0 ? named : question.defaultSubjectAltNames;
  return { kind: 'user', settings, subjectAltNames, secretServers, isMesh: false };
}

/** TLS with the proxy's files, whatever endpoint it goes to. Of the rule, only names and trust in the server count. */
function mountedTls(
  { certificateChain, privateKey, rootCertificates }: MountedCertificates,
  { sni, subjectAltNames: names, insecureSkipVerify }: ClientTlsSettings,
  rest: Pick<Extract<UpstreamTls, { kind: 'user' }>, 'subjectAltNames' | 'secretServers' | 'isMesh'>,
): UpstreamTls | undefined {
  if (privateKey === '') return undefined;
  const settings: ClientTlsSettings = {
    mode: 'MUTUAL',
    clientCertificate: certificateChain,
    privateKey,
    caCertificates: rootCertificates,
    ...(sni ? { sni } : {}),
    ...(names === undefined ? {} : { subjectAltNames: names }),
    ...(insecureSkipVerify === undefined ? {} : { insecureSkipVerify }),
  };
  return { kind: 'user', settings, ...rest };
}

/** Anybody may read ConfigMaps with CA certificates; Secrets are the owner's. */
function needsSecret(settings: ClientTlsSettings): boolean {
  const name = settings.credentialName ?? '';
  return name !== '' && !name.startsWith(CONFIG_MAP_SCHEME);
}

function hasClientCertificate(settings: ClientTlsSettings): boolean {
  return (
    Boolean(settings.credentialName) || (Boolean(settings.clientCertificate) && Boolean(settings.privateKey))
  );
}
