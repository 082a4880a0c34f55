/**
 * What the mesh on one machine needs of a control plane. main/ makes one and hands it over, so that this layer knows
 * neither how it is built nor how it is served.
 */
import type { MeshConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import type { RegistrationSettings } from '#controllers/workload-registration.ts';
import type { CertificatesStatus, CertificateStatus } from '#doors/control-protocol.ts';
import type { WorkloadMutualTls } from '#explain/mutual-tls-readiness.ts';
import type { TokenRequest, TokenVerdict } from '#explain/token-verdict.ts';
import type { LocalReplica } from '#model/endpoint.ts';

/** How far one proxy is with one type of resource. */
export type SyncState = 'SYNCED' | 'STALE' | 'NOT SENT';

/** One connected proxy. */
export interface ProxySync {
  /** Pod-like name, `reviews-v1-0`. */
  readonly name: string;
  readonly namespace: string;
  readonly cds: SyncState;
  readonly eds: SyncState;
  readonly lds: SyncState;
  readonly rds: SyncState;
}

/** Which proxy: its namespace, and its pod-like name. */
export type ProxyName = Pick<ProxySync, 'namespace' | 'name'>;

/** An object that Envoy refused, kept out of the mesh until it changes (law 9). */
export interface HeldBackObject extends ObjectRef {
  readonly reason: string;
  /** RFC 3339. */
  readonly since: string;
  /** Whether an earlier accepted form of it is in force. */
  readonly lastGood: boolean;
}

/** Who a workload token is for. */
export interface WorkloadTokenRequest {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly workload: string;
  readonly replica: number;
}

/** A running control plane. */
export interface ControlPlane {
  /** `host:port` of plaintext xDS, of TLS xDS with the CA, and of the debug and metrics door. */
  readonly addresses: { readonly xds: string; readonly secure: string; readonly http: string };
  readonly version: string;
  /** Takes a batch of changes; they are computed before the promise resolves. */
  apply(batch: { readonly set: readonly MeshObject[]; readonly remove: readonly ObjectRef[] }): Promise<void>;
  /** Objects of one kind, in order of namespace and name; all kinds without one. */
  objects(kind?: string): readonly MeshObject[];
  /** Tells of the objects of one kind at once and after each change. */
  watch(kind: string, onChange: (objects: readonly MeshObject[]) => void): Disposable;
  /** Warnings about references that lead nowhere and conflicts with others, for the objects named. */
  warnings(refs: readonly ObjectRef[]): readonly Diagnostic[];
  /** What is wrong with objects as only the whole mesh shows it: as far as some proxy is concerned. */
  findings(): readonly Diagnostic[];
  /** How workloads take mutual TLS, and which rules have clients call them without. */
  mutualTls(): readonly WorkloadMutualTls[];
  /** What becomes of a request with a token at a proxy (`namespace`, `name-N`); undefined when it is not connected. */
  judgeToken(proxy: ProxyName, request: TokenRequest): Promise<TokenVerdict | undefined>;
  /** Puts another mesh config in force. */
  configure(meshConfig: MeshConfig): void;
  setReplica(replica: LocalReplica): void;
  removeReplica(namespace: string, workload: string, replica: number): void;
  issueToken(request: WorkloadTokenRequest): Promise<string>;
  readonly roots: TrustRoots;
  certificates(): CertificateReport;
  proxies(): readonly ProxySync[];
  /** Resolves when every connected proxy has taken all it should hold, or with the laggards when time is up. */
  waitForProxies(timeoutMs: number): Promise<{ readonly pending: readonly string[] }>;
  heldBack(): readonly HeldBackObject[];
  close(): Promise<void>;
}

/** Certificates that the control plane answers for. */
export interface CertificateReport {
  readonly rotation: CertificatesStatus['rotation'];
  readonly certificates: readonly CertificateStatus[];
}

/** The roots that the mesh's workloads believe; they change when the CA's authority is replaced. */
export interface TrustRoots {
  pem(): string;
  watch(changed: () => void): Disposable;
}

/** What the runner asks for when it opens one. Ports are free ones on 127.0.0.1 unless given. */
export interface ControlPlaneOptions {
  /** Folder for roots, tokens' keys and verdicts; 0700. */
  readonly stateDir: string;
  readonly meshConfig: Readonly<Record<string, unknown>>;
  readonly log: (line: string) => void;
  /** What is not as by default with workloads that register themselves. */
  readonly registration?: Partial<RegistrationSettings>;
}

export type OpenControlPlane = (options: ControlPlaneOptions) => Promise<ControlPlane>;
