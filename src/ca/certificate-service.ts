/**
 * The CA's one call, `istio.v1.auth.IstioCertificateService/CreateCertificate`, as bytes in and bytes or a status out; the gRPC
 * server is elsewhere. Order matters: nothing of a request is read before its caller is known. A caller gets a
 * certificate for its own SPIFFE id and for nothing else, whatever the request asks; trusted node proxies for workloads on their node.
 */
import type { GrpcStatus } from '#base/grpc-frame.ts';
import {
  GRPC_INTERNAL,
  GRPC_INVALID_ARGUMENT,
  GRPC_PERMISSION_DENIED,
  GRPC_RESOURCE_EXHAUSTED,
  GRPC_UNAUTHENTICATED,
  GRPC_UNAVAILABLE,
  grpcStatus,
} from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import {
  CERT_SIGNER_METADATA,
  type CertificateCall,
  decodeCertificateCall,
  encodeCertificateReply,
} from '#identity/certificate-message.ts';
import { type CertificateRequest, parseCertificateRequest } from '#identity/certificate-request.ts';
import { printWorkloadIdentity } from '#identity/spiffe.ts';
import type { Authenticator } from './authenticator.ts';
import type { CaMetrics } from './ca-metrics.ts';
import type { Caller, CallPeer } from './caller.ts';
import type { NodeImpersonation } from './node-impersonation.ts';
import type { RegistrationAuthority, RegistrationFault } from './registration-authority.ts';
import type { Signer, SigningError } from './signer.ts';

/** What the service is made of. */
export interface CertificateServiceParts {
  readonly authenticator: Authenticator;
  readonly signer: Signer;
  /** Signs in the signer's place, where there is one. */
  readonly registration: RegistrationAuthority | undefined;
  readonly impersonation: NodeImpersonation;
  readonly metrics: CaMetrics;
  readonly log: Logger;
}

/** Requests over this are refused unread; a server may cut them earlier. */
export const maxCertificateCallBytes = 64 * 1024;

/** Metadata that asks for another's certificate. Source: Istio security.ImpersonatedIdentity. */
const impersonatedIdentity = 'ImpersonatedIdentity';

/** What is the caller's fault, and what may pass; all else is ours. */
const SIGNING_STATUS: Readonly<Partial<Record<SigningError | RegistrationFault, number>>> = {
  'lifetime is above the maximum': GRPC_INVALID_ARGUMENT,
  'the request asks for more than names': GRPC_INVALID_ARGUMENT,
  'the request names no identity': GRPC_INVALID_ARGUMENT,
  'the signer has no domain': GRPC_INVALID_ARGUMENT,
  'too many requests are under way': GRPC_UNAVAILABLE,
  'the signer gave no certificate': GRPC_UNAVAILABLE,
};

/** Answers certificate calls. */
export class CertificateService {
  readonly #parts: CertificateServiceParts;

  constructor(parts: CertificateServiceParts) {
    this.#parts = parts;
  }

  /** Answers one call: the encoded reply, or the status to end it with. */
  async createCertificate(request: Uint8Array, peer: CallPeer): Promise<Result<Uint8Array, GrpcStatus>> {
    const { authenticator, metrics, log } = this.#parts;
    metrics.add('csrCount');
    if (request.length > maxCertificateCallBytes) {
      return fail(grpcStatus(GRPC_RESOURCE_EXHAUSTED, 'the request is too large'));
    }
    const caller = await authenticator.authenticate(peer);
    if (!caller.ok) {
      metrics.add('authenticationFailures');
      log.warn('certificate call not authenticated', { reason: caller.error });
      return fail(grpcStatus(GRPC_UNAUTHENTICATED, 'request authenticate failure'));
    }
    const call = decodeCertificateCall(request);
    if (!call.ok) {
      metrics.add('parseFailures');
      return fail(grpcStatus(GRPC_INVALID_ARGUMENT, `malformed request: ${call.error}`));
    }
    const answer = await this.#issue(caller.value, call.value);
    if (!answer.ok) {
      const identity = printWorkloadIdentity(caller.value.identity);
      log.warn('certificate refused', { identity, reason: answer.error.message });
    }
    return answer;
  }

  async #issue(caller: Caller, call: CertificateCall): Promise<Result<Uint8Array, GrpcStatus>> {
    const { metrics, log } = this.#parts;
    const subject = this.#subjectOf(caller, call);
    if (!subject.ok) return subject;
    const identity = printWorkloadIdentity(subject.value.identity);
    const request = parseCertificateRequest(call.csrPem);
    if (!request.ok) {
      metrics.add('parseFailures');
      return fail(grpcStatus(GRPC_INVALID_ARGUMENT, `certificate request: ${request.error}`));
    }
    if (!asksOnlyFor(request.value, identity)) {
      metrics.add('idFailures');
      return fail(grpcStatus(GRPC_PERMISSION_DENIED, `the request may name nothing but ${identity}`));
    }
    const chain = await this.#sign(call, request.value, subject.value);
    if (!chain.ok) {
      metrics.add('signFailures');
      return fail(grpcStatus(SIGNING_STATUS[chain.error] ?? GRPC_INTERNAL, chain.error));
    }
    metrics.add('issued');
    log.debug('certificate issued', { identity, via: caller.via });
    return ok(encodeCertificateReply(chain.value));
  }

  #sign(
    call: CertificateCall,
    request: CertificateRequest,
    subject: Pick<Caller, 'identity' | 'facts'>,
  ): Promise<Result<readonly string[], SigningError | RegistrationFault>> {
    const { signer, registration } = this.#parts;
    const ttlMs = call.validitySeconds * 1000;
    if (registration === undefined) return signer.sign({ publicKey: request.publicKey, ...subject, ttlMs });
    const spiffeId = printWorkloadIdentity(subject.identity);
    const certSigner = call.metadata.get(CERT_SIGNER_METADATA) ?? '';
    return registration.issue({ csrPem: call.csrPem, request, spiffeId, ttlMs, certSigner });
  }

  /** For whom the certificate is: the caller, or the workload for which a node proxy asks. */
  #subjectOf(caller: Caller, call: CertificateCall): Result<Pick<Caller, 'identity' | 'facts'>, GrpcStatus> {
    const { impersonation, metrics, log } = this.#parts;
    const asked = call.metadata.get(impersonatedIdentity);
    if (asked === undefined) return ok({ identity: caller.identity, facts: caller.facts });
    const identity = impersonation.authorize(caller, asked);
    if (identity.ok) return ok({ identity: identity.value, facts: {} });
    metrics.add('authenticationFailures');
    log.warn('nobody may be impersonated by this caller', { asked, reason: identity.error });
    // As with Istio, the caller does not learn why.
    return fail(grpcStatus(GRPC_UNAUTHENTICATED, 'request impersonation authentication failure'));
  }
}

/** No name at all, or exactly the id that the certificate is for, once. */
function asksOnlyFor(request: CertificateRequest, identity: string): boolean {
  const [first, ...more] = request.names;
  return first === undefined || (more.length === 0 && first.kind === 'url' && first.value === identity);
}
