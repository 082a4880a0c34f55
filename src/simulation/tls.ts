/**
 * The handshake at a filter chain that ends TLS: whether the client gets in, and what is known of it then. Signatures and
 * validity are the caller's word (`isTrusted`); names are checked here.
 * Source: envoy source/common/tls/cert_validator/default_validator.cc.
 */
import { isMessage } from '@bufbuild/protobuf';
import type { TransportSocket } from '#proto/envoy/config/core/v3/base_pb.ts';
import {
  type CertificateValidationContext,
  CertificateValidationContext_TrustChainVerification as TrustChain,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import {
  type DownstreamTlsContext,
  DownstreamTlsContextSchema,
} from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { ClientCertificate, ClientTls } from './call.ts';
import type { Evaluation } from './evaluation.ts';
import { matchesString } from '#simulation/match/string.ts';
import { openAny } from './resources.ts';

/** What the proxy knows of a client after the handshake. */
export interface Peer {
  /** The proxy itself ended TLS on this connection. */
  readonly isTls: boolean;
  /** Shown and accepted. */
  readonly certificate: ClientCertificate | undefined;
}

export type Handshake =
  | { readonly isAccepted: true; readonly peer: Peer }
  | { readonly isAccepted: false; readonly reason: string };

const PLAIN: Handshake = { isAccepted: true, peer: { isTls: false, certificate: undefined } };

/** Plays the handshake; without a transport socket there is none. */
export function handshake(
  evaluation: Evaluation,
  socket: TransportSocket | undefined,
  tls: ClientTls | undefined,
): Handshake {
  const typed = socket?.configType.case === 'typedConfig' ? openAny(socket.configType.value) : undefined;
  if (socket === undefined || socket.name === 'envoy.transport_sockets.raw_buffer') return PLAIN;
  if (typed === undefined || !isMessage(typed, DownstreamTlsContextSchema)) {
    evaluation.notEvaluated('tls', socket.name, 'unknown transport socket');
    return PLAIN;
  }
  const result = tls === undefined ? refused('plain text where TLS begins') : acceptClient(typed, tls);
  const subject = tls?.serverName ?? '';
  evaluation.note('tls', subject, result.isAccepted ? describe(result.peer) : `refused: ${result.reason}`);
  return result;
}

function describe({ certificate }: Peer): string {
  return certificate === undefined ? 'TLS without client certificate' : `TLS with ${nameOf(certificate)}`;
}

function nameOf({ uris, dnsNames, subject }: ClientCertificate): string {
  return uris[0] ?? dnsNames[0] ?? subject;
}

function acceptClient(context: DownstreamTlsContext, { certificate, serverName }: ClientTls): Handshake {
  const rules = validationOf(context);
  if (context.requireSni === true && serverName === '') return refused('no server name');
  // Without rules Envoy does not even ask for a certificate.
  const shown = rules === undefined ? undefined : certificate;
  if (shown === undefined) {
    if (context.requireClientCertificate === true) return refused('no client certificate');
    return { isAccepted: true, peer: { isTls: true, certificate: undefined } };
  }
  const reason = refusalOf(rules, shown);
  return reason === undefined
    ? { isAccepted: true, peer: { isTls: true, certificate: shown } }
    : refused(reason);
}

interface ValidationRules {
  readonly checksChain: boolean;
  readonly context: CertificateValidationContext | undefined;
}

function validationOf({ commonTlsContext }: DownstreamTlsContext): ValidationRules | undefined {
  const type = commonTlsContext?.validationContextType;
  switch (type?.case) {
    case 'combinedValidationContext':
      return { checksChain: true, context: type.value.defaultValidationContext };
    case 'validationContextSdsSecretConfig':
      return { checksChain: true, context: undefined };
    case 'validationContext': {
      const { value } = type;
      const asks = value.trustedCa !== undefined || value.matchSubjectAltNames.length > 0;
      return asks ? { checksChain: value.trustedCa !== undefined, context: value } : undefined;
    }
    default:
      return undefined;
  }
}

function refusalOf(rules: ValidationRules | undefined, shown: ClientCertificate): string | undefined {
  const { context } = rules ?? {};
  const acceptsUntrusted = context?.trustChainVerification === TrustChain.ACCEPT_UNTRUSTED;
  if (rules?.checksChain === true && !acceptsUntrusted && !shown.isTrusted) {
    return 'client certificate of another root, or not valid now';
  }
  const names = [...shown.uris, ...shown.dnsNames];
  const untyped = context?.matchSubjectAltNames ?? [];
  const typed = (context?.matchTypedSubjectAltNames ?? []).flatMap(({ matcher }) => matcher ?? []);
  const matchers = [...untyped, ...typed];
  if (matchers.length === 0) return undefined;
  const isNamed = matchers.some((matcher) => names.some((name) => matchesString(matcher, name)));
  return isNamed ? undefined : 'no name in the client certificate that is accepted';
}

function refused(reason: string): Handshake {
  return { isAccepted: false, reason };
}
