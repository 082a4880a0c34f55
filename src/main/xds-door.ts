/**
 * The network side of a mesh: xDS in plain text and over TLS, and the CA's call on the same secure port.
 * Over TLS a caller is what its certificate or token says.
 */
import type { AdsMetrics } from '#ads/ads-metrics.ts';
import { AdsServer } from '#ads/ads-server.ts';
import type { GrpcLimits } from '#ads/grpc-limits.ts';
import { GrpcServer, type TlsMaterial } from '#ads/grpc-server.ts';
import type { NackEvent } from '#ads/nack-event.ts';
import type { PeerAuthenticator, PeerConnection, RequestHeaders } from '#ads/peer.ts';
import type { Registrar } from '#ads/registrar.ts';
import type { Clock } from '#base/clock.ts';
import type { TlsLimits } from '#base/compliance.ts';
import { GRPC_UNAUTHENTICATED, grpcStatus } from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok } from '#base/result.ts';
import type { Rng } from '#base/rng.ts';
import type { CallPeer } from '#ca/caller.ts';
import type { CertificateAuthority } from '#ca/certificate-authority.ts';
import {
  issueServerCertificate,
  type ServerCertificate,
  ServerCertificateKeeper,
} from '#ca/server-certificate.ts';
import { printWorkloadIdentity } from '#identity/spiffe.ts';
import type { Mesh } from './mesh.ts';
import { createProxyAdmission } from './proxy-admission.ts';
import { certificateNames } from './server-names.ts';
import { createSnapshotSource } from './snapshot-source.ts';
import { type RolloutSettings, TrustBundle } from './trust-bundle.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface XdsDoorOptions {
  readonly mesh: Mesh;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly metrics: AdsMetrics;
  readonly version: string;
  readonly plain?: HostPort;
  /** DNS names under which the secure port is called, besides localhost. Default: Istio's in istio-system. */
  readonly serverNames?: readonly string[];
  /** Bounds of the server that differ from its own. */
  readonly limits?: Partial<GrpcLimits>;
  /** Which TLS callers may speak; default: 1.2 or later. */
  readonly tlsLimits?: TlsLimits;
  readonly onNack?: (event: NackEvent) => void;
  readonly registrar?: Registrar;
  /** False while the mesh is not whole yet: proxies are sent away then, and keep what they have. Default: always true. */
  readonly isReady?: () => boolean;
}

export interface XdsDoor {
  readonly ads: AdsServer;
  /** Ports that are listened on; 0 where a door is shut. */
  readonly plainPort: number;
  readonly securePort: number;
  /** Opens the port over TLS, with the CA's call on it. `rollout`: by default other control planes may have proxies too. Errors: as openXdsDoor. */
  listenSecurely(
    authority: CertificateAuthority,
    address: HostPort,
    rollout?: RolloutSettings,
  ): Promise<void>;
  /** Whose certificates and tokens count; undefined until the secure port has been opened. */
  readonly authority: CertificateAuthority | undefined;
  /** What agents are told about whom to believe; undefined until then too. */
  readonly trustBundle: TrustBundle | undefined;
  close(): Promise<void>;
}

const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
const CREATE_CERTIFICATE = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

/** Opens the doors that are asked for. Errors: a port that is taken rejects with the system's error. */
export async function openXdsDoor(options: XdsDoorOptions): Promise<XdsDoor> {
  const { mesh, clock, rng, log, metrics, plain } = options;
  const source = createSnapshotSource({ ...mesh, snapshots: mesh.graph.snapshots });
  const ads = new AdsServer({
    source,
    admission: createProxyAdmission({
      workloads: mesh.graph.serviceModel.workloads,
      isReady: options.isReady ?? (() => true),
    }),
    clock,
    log: log.scope('ads'),
    metrics,
    controlPlane: JSON.stringify({ Component: 'istiod', ID: 'lateen', Info: { version: options.version } }),
    ...(options.onNack === undefined ? {} : { onNack: options.onNack }),
    ...(options.registrar === undefined ? {} : { registrar: options.registrar }),
  });
  let authority: CertificateAuthority | undefined;
  let secure: SecureDoor | undefined;
  let trustBundle: TrustBundle | undefined;
  const authenticator = peerAuthenticator(() => authority);
  const server = new GrpcServer({
    authenticator,
    clock,
    rng,
    log: log.scope('grpc'),
    metrics,
    limits: options.limits ?? {},
    ...(options.tlsLimits === undefined ? {} : { tlsLimits: options.tlsLimits }),
  });
  server.stream(`${ADS}/DeltaAggregatedResources`, (stream, peer) => ads.serveDelta(stream, peer));
  server.stream(`${ADS}/StreamAggregatedResources`, (stream, peer) => ads.serveSotw(stream, peer));
  const plainDoor = plain === undefined ? undefined : await server.listenTcp(plain.host, plain.port);
  return {
    ads,
    plainPort: plainDoor?.port ?? 0,
    get securePort() {
      return secure?.port ?? 0;
    },
    get authority() {
      return authority;
    },
    get trustBundle() {
      return trustBundle;
    },
    async listenSecurely(opened, address, settings = { isAlone: () => false }) {
      authority = opened;
      trustBundle = new TrustBundle({ mesh, ads, authority: opened, clock, settings });
      mountCertificates(server, opened);
      secure = await listenSecurely(server, opened, address, options);
    },
    async close() {
      secure?.certificate[Symbol.dispose]();
      trustBundle?.[Symbol.dispose]();
      ads[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

interface SecureDoor {
  readonly port: number;
  readonly certificate: ServerCertificateKeeper;
}

const DEFAULT_NAMES: readonly string[] = ['istiod.istio-system.svc', 'istiod.istio-system'];

/** The secure port; its certificate is renewed and follows the authority as long as it is open. */
async function listenSecurely(
  server: GrpcServer,
  authority: CertificateAuthority,
  { host, port }: HostPort,
  { clock, rng, log, serverNames = DEFAULT_NAMES }: XdsDoorOptions,
): Promise<SecureDoor> {
  const names = certificateNames(serverNames);
  const first = await issueServerCertificate(authority, names);
  if (!first.ok) throw new Error(`no certificate for the secure port: ${first.error}`);
  const listening = await server.listenTls(host, port, tlsMaterial(first.value));
  const certificate = new ServerCertificateKeeper(
    { ...authority, clock, rng, log: log.scope('ca') },
    names,
    first.value,
    (renewed) => listening.setTls(tlsMaterial(renewed)),
  );
  return { port: listening.port, certificate };
}

function tlsMaterial({ chainPem, privateKey, rootsPem }: ServerCertificate): TlsMaterial {
  return { certificateChain: chainPem, privateKey: privateKey.reveal(), clientCas: [rootsPem] };
}

function mountCertificates(server: GrpcServer, authority: CertificateAuthority): void {
  server.unary(CREATE_CERTIFICATE, async (request, peer, headers) => {
    // A token that came in plain text may have been read by others.
    if (peer.connection.transport !== 'tls')
      return grpcStatus(GRPC_UNAUTHENTICATED, 'certificates are given over TLS only');
    const answer = await authority.service.createCertificate(request, callPeer(peer.connection, headers));
    return answer.ok ? answer.value : answer.error;
  });
}

function callPeer(connection: PeerConnection, headers: RequestHeaders): CallPeer {
  const verified = connection.tls?.isVerified === true ? connection.tls.chain[0] : undefined;
  return { authorization: headers.get('authorization'), certificate: verified };
}

/** Plain text and Unix sockets are for this machine: no identity, no secrets. TLS callers must prove theirs. */
function peerAuthenticator(authorityOf: () => CertificateAuthority | undefined): PeerAuthenticator {
  return {
    async authenticate(connection, headers) {
      if (connection.transport !== 'tls') return ok({ identity: undefined, isTrusted: false });
      const authority = authorityOf();
      if (authority === undefined)
        return fail(grpcStatus(GRPC_UNAUTHENTICATED, 'no authority to check callers with'));
      const caller = await authority.authenticator.authenticate(callPeer(connection, headers));
      if (!caller.ok) return fail(grpcStatus(GRPC_UNAUTHENTICATED, 'request authenticate failure'));
      const { identity, pod } = caller.value;
      const podName = pod === undefined ? {} : { podName: pod.name };
      return ok({ identity: printWorkloadIdentity(identity), ...podName, isTrusted: true });
    },
  };
}
