/**
 * Which TLS an outbound cluster speaks: what a DestinationRule says, else mesh mTLS where the endpoint accepts it
 * (auto mTLS). Plain data in and out; the message is built in upstream-tls.ts.
 * Source: Istio pilot/pkg/networking/core/cluster_tls.go buildUpstreamTLSSettings, buildUpstreamClusterTLSContext.
 */
import type { ClientTlsSettings } from '#api/destination-rule.ts';
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
    };

const CONFIG_MAP_SCHEME = 'configmap://';

/** Decides; undefined means plain text. */
export function upstreamTls(question: TlsQuestion): UpstreamTls | undefined {
  const { settings, sni, identities } = question;
  if (settings === undefined) {
    const isWanted = question.autoMtls && !question.meshExternal;
    const isPossible = question.serverMode === 'PERMISSIVE' || question.serverMode === 'STRICT';
    return isWanted && isPossible
      ? { kind: 'mesh', sni, subjectAltNames: identities, isAuto: true, skipsVerification: false }
      : undefined;
  }
  const named = settings.subjectAltNames ?? [];
  switch (settings.mode ?? 'DISABLE') {
    case 'DISABLE':
      return undefined;
    case 'ISTIO_MUTUAL': {
      const subjectAltNames = named.length > 0 ? named : identities;
      const skipsVerification = settings.insecureSkipVerify === true;
      return { kind: 'mesh', sni: settings.sni || sni, subjectAltNames, isAuto: false, skipsVerification };
    }
    default: {
      if (!question.mayUseCredentials && needsSecret(settings)) return undefined;
      if (settings.mode === 'MUTUAL' && !hasClientCertificate(settings)) return undefined;
      const subjectAltNames = named.length > 0 ? named : question.defaultSubjectAltNames;
      return { kind: 'user', settings, subjectAltNames, secretServers: question.secretServers };
    }
  }
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
