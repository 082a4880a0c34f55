/**
 * The description of a call: who calls, over what connection, and what is asked for. Plain data; whoever has a question
 * (a test, `explain`, a policy test) writes one of these.
 */
import type { JsonObject } from '@bufbuild/protobuf';

/** What the client speaks inside its connection; `tcp` is bytes that are no HTTP. */
export type CallProtocol = 'http/1.1' | 'http/2' | 'tcp';

/** The certificate that a client shows. */
export interface ClientCertificate {
  /** URI SANs; a workload's is its SPIFFE id. */
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** Subject in RFC 2253 form, '' when empty. */
  readonly subject: string;
  /** Whether the server's roots signed it and it is valid now: the simulator checks no signatures. */
  readonly isTrusted: boolean;
}

/** What a client that speaks TLS offers in its handshake. */
export interface ClientTls {
  /** SNI, '' for none. */
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** Undefined: the client shows none. */
  readonly certificate: ClientCertificate | undefined;
}

/** A connection as it reaches a proxy: addresses before any translation by the proxy. */
export interface CallConnection {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  /** Where the client connects to: the original destination, also where capture redirects it. */
  readonly address: string;
  readonly port: number;
  readonly protocol: CallProtocol;
  /** Undefined: plain text. */
  readonly tls: ClientTls | undefined;
}

/** An HTTP request. */
export interface CallRequest {
  readonly method: string;
  /** Host header or `:authority`, with port where the client sends one. */
  readonly authority: string;
  /** With query. */
  readonly path: string;
  /** `:scheme` as an HTTP/2 client sends it; '' lets the proxy work it out, as for HTTP/1.1. */
  readonly scheme: string;
  /** In order; a name may come several times. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Claims of a token whose signature is good; undefined: no token. */
  readonly claims: JsonObject | undefined;
}

/** Who calls: the workload behind a proxy of the mesh, or a client without one. */
export type CallSource = { readonly kind: 'workload'; readonly proxy: string } | { readonly kind: 'outside' };

/** A call. `request` is there exactly for HTTP. */
export interface Call {
  readonly source: CallSource;
  readonly connection: CallConnection;
  readonly request: CallRequest | undefined;
}

/** A GET without anything special, to be varied. */
export function plainRequest(authority: string, path: string): CallRequest {
  return { method: 'GET', authority, path, scheme: '', headers: [], claims: undefined };
}
