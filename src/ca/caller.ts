/**
 * Who calls the CA, and what the call shows for it. The server (a door) fills CallPeer from the connection; only
 * authenticators make a Caller, so that whoever holds one may believe it.
 */
import type { Result } from '#base/result.ts';
import type { WorkloadIdentity } from '#identity/spiffe.ts';
import type { WorkloadFacts } from './workload-facts.ts';

/** What a call brings along. */
export interface CallPeer {
  /** The `authorization` header; undefined when there is none. */
  readonly authorization: string | undefined;
  /** DER of the client's certificate, only if the TLS layer verified it against the mesh's roots. */
  readonly certificate: Uint8Array | undefined;
}

/** The pod that a token is bound to; its namespace is that of the identity. */
export interface CallerPod {
  readonly name: string;
  readonly uid: string;
}

/** An authenticated caller. */
export interface Caller {
  readonly identity: WorkloadIdentity;
  readonly facts: WorkloadFacts;
  readonly via: 'certificate' | 'token';
  /** Known of tokens that Kubernetes bound to a pod. */
  readonly pod?: CallerPod;
}

/** What a verified token says. */
export interface TokenClaims {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly facts: WorkloadFacts;
  readonly pod?: CallerPod;
}

/** Checks tokens of one kind: our own, or Kubernetes' by TokenReview. The error says why, without quoting the token. */
export interface TokenVerifier {
  verifyToken(token: string): Promise<Result<TokenClaims, string>>;
}
