/**
 * Who is calling: what the transport knows of a peer, and the interfaces through which others decide what that means
 * (ads/ may not import certificates, tokens or Kubernetes).
 */
import type { GrpcStatus } from '#base/grpc-frame.ts';
import type { Result } from '#base/result.ts';
import type { Proxy } from '#model/proxy.ts';

/** A connection's other end, as the transport sees it. Certificates are DER. */
export interface PeerConnection {
  readonly transport: 'tcp' | 'unix' | 'tls';
  /** IP address and port, or '' for a Unix socket. */
  readonly remoteAddress: string;
  readonly tls: PeerCertificates | undefined;
}

/** What a TLS client showed; `chain` is empty when it showed nothing. */
export interface PeerCertificates {
  /** The leaf; what it was verified with is the transport's business. */
  readonly chain: readonly Uint8Array[];
  /** True when the chain ends in one of the server's client CAs. */
  readonly isVerified: boolean;
}

/** Request headers, lower case, without pseudo-headers. */
export type RequestHeaders = ReadonlyMap<string, string>;

/** A caller that was let in. */
export interface Peer {
  /** SPIFFE id, undefined where callers are not asked for one (plain text on loopback, Unix socket). */
  readonly identity: string | undefined;
  /** Name of the pod that its token is bound to, where that is known. */
  readonly podName?: string;
  /** May see secrets and have large messages. */
  readonly isTrusted: boolean;
  readonly connection: PeerConnection;
}

/** Turns what a caller shows into an identity, or refuses it with UNAUTHENTICATED or PERMISSION_DENIED. */
export interface PeerAuthenticator {
  authenticate(
    connection: PeerConnection,
    headers: RequestHeaders,
  ): Promise<Result<Pick<Peer, 'identity' | 'podName' | 'isTrusted'>, GrpcStatus>>;
}

/**
 * Decides whether a caller may be the proxy that it says it is, and completes that from what is known of the identity (on
 * Kubernetes the Pod's labels and service account replace what the node said).
 */
export interface ProxyAdmission {
  admit(peer: Peer, proxy: Proxy): Result<Proxy, GrpcStatus>;
}
