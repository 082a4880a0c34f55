/**
 * What the command line and a running mesh say to each other: HTTP with JSON over a Unix socket that only its owner may
 * open. Shapes only; docs/schemas has the same as JSON schemas. Both sides are of one version, so nothing here is negotiated.
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type { ObjectRef } from '#base/object-ref.ts';

/** Paths of the control door. */
export const CONTROL_PATHS = {
  status: '/v1/status',
  objects: '/v1/objects',
  sources: '/v1/sources',
  apply: '/v1/apply',
  remove: '/v1/delete',
  events: '/v1/events',
  logs: '/v1/logs',
  exec: '/v1/exec',
  edges: '/v1/edges',
  mtlsReadiness: '/v1/mtls/readiness',
  jwtCheck: '/v1/jwt/check',
  down: '/v1/down',
} as const;

/** Largest body that the door takes. */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** How far a proxy is with one type of resource. */
export type SyncText = 'SYNCED' | 'STALE' | 'NOT SENT';

/** A port of a workload: what the mesh sees, and where the application listens. */
export interface PortStatus {
  readonly name: string;
  readonly port: number;
  readonly appPort: number;
  readonly protocol: string;
}

/** One replica of a workload or of a gateway. */
export interface ReplicaStatus {
  readonly name: string;
  readonly namespace: string;
  readonly replica: number;
  /** 0 for what does not run; a gateway has no app. */
  readonly pids: { readonly app: number; readonly agent: number; readonly envoy: number };
  /** Where its proxy listens. */
  readonly address: string;
  /** Where its application listens; for a gateway, where its listeners are bound. */
  readonly appAddress: string;
  readonly ports: readonly PortStatus[];
  readonly ready: boolean;
  /** What it waits for; '' when ready. */
  readonly reason: string;
  /** How often its application or agent ended by itself. */
  readonly restarts: number;
  readonly synced: {
    readonly cds: SyncText;
    readonly eds: SyncText;
    readonly lds: SyncText;
    readonly rds: SyncText;
  };
  /** SPIFFE id. */
  readonly identity: string;
  /** When the workload's certificate ends, RFC 3339; '' while its agent has not told. */
  readonly certificateNotAfter: string;
  /** What keeps it apart from others: `none` under capture `proxy`, where all run as one user on one network. */
  readonly isolation: 'none';
}

/** An object that Envoy refused. */
export interface HeldBackStatus extends ObjectRef {
  readonly reason: string;
  /** RFC 3339. */
  readonly since: string;
  readonly lastGood: boolean;
}

/**
 * `signing`: of the authority that signs now. `introduced`: believed already, signs soon. `retired`: signs no more, is believed while
 * certificates of its live. `trusted`: believed besides. `served`: by gateways or to destinations.
 */
export type CertificateState = 'signing' | 'introduced' | 'retired' | 'trusted' | 'served';

/** A certificate that outlives workloads. */
export interface CertificateStatus {
  readonly kind: 'root' | 'intermediate' | 'secret';
  /** Its subject; `namespace/name` of a Secret. */
  readonly name: string;
  readonly state: CertificateState;
  /** SHA-256, hex. */
  readonly fingerprint: string;
  /** RFC 3339, as all times here. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Only of a retired root: how long it stays believed. */
  readonly trustedUntil?: string;
}

/** Certificates, and what is to be known of them now. */
export interface CertificatesStatus {
  /** Whether a root is being replaced. */
  readonly rotation: 'none' | 'introducing' | 'retiring';
  readonly list: readonly CertificateStatus[];
  /** What ends soon or was not renewed, in words. */
  readonly alerts: readonly string[];
}

/** Answer of `status`. */
export interface MeshStatus {
  readonly workloads: readonly ReplicaStatus[];
  readonly gateways: readonly ReplicaStatus[];
  readonly heldBack: readonly HeldBackStatus[];
  readonly controlPlane: {
    readonly pid: number;
    readonly addresses: { readonly xds: string; readonly secure: string; readonly http: string };
    readonly version: string;
  };
  readonly certificates: CertificatesStatus;
  /** The folder that the mesh runs from. */
  readonly dir: string;
  /** Problems of files in that folder, as they stand now. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Something that happened. */
export interface MeshEvent {
  /** RFC 3339. */
  readonly time: string;
  readonly type: 'Normal' | 'Warning';
  /** `namespace/name-N`, or `mesh`. */
  readonly subject: string;
  readonly message: string;
}

/** An object as Kubernetes prints it. */
export interface PrintedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** One file, or what came on standard input. */
export interface ApplyFile {
  /** For messages. */
  readonly name: string;
  readonly text: string;
}

/** Body of `apply`. */
export interface ApplyRequest {
  readonly files: readonly ApplyFile[];
  /** Namespace of objects that name none; '' for `default`. */
  readonly namespace: string;
  /** Check only. */
  readonly dryRun: boolean;
  /** Wait for the proxies. */
  readonly wait: boolean;
  readonly timeoutMs: number;
}

export type ApplyAction = 'created' | 'configured' | 'unchanged' | 'deleted';

/** Answer of `apply` and `delete`. */
export interface ApplyAnswer {
  readonly accepted: boolean;
  readonly objects: readonly (ObjectRef & { readonly action: ApplyAction })[];
  readonly diagnostics: readonly Diagnostic[];
  /** Proxies that have not taken the change when time was up. */
  readonly pending: readonly string[];
  /** Objects of this change that Envoy refused. */
  readonly heldBack: readonly HeldBackStatus[];
}

/** Body of `delete`. */
export interface DeleteRequest {
  readonly refs: readonly ObjectRef[];
  /** Files whose objects are to go; resolved by the mesh. */
  readonly files: readonly ApplyFile[];
  readonly namespace: string;
  readonly ignoreNotFound: boolean;
  readonly wait: boolean;
  readonly timeoutMs: number;
}

/** An object as it stands in its file. */
export interface ObjectSource {
  readonly ref: ObjectRef;
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** What a command run as a workload gets. */
export interface ExecEnvironment {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly identity: string;
}

/** Traffic between two workloads during the last few seconds. */
export interface Edge {
  readonly source: string;
  readonly sourceNamespace: string;
  readonly destination: string;
  readonly destinationNamespace: string;
  readonly protocol: 'http' | 'tcp';
  readonly requestsPerSecond: number;
  /** 0 to 1; for TCP 1. */
  readonly successRate: number;
  /** Absent without requests. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly mtls: boolean;
}

/** Answer of `edges`. */
export interface EdgesAnswer {
  readonly edges: readonly Edge[];
  /** Over how long the rates are taken. */
  readonly windowMs: number;
}

/** A client that calls a workload in plain text, as the workload's proxies count it. */
export interface PlaintextCaller {
  /** Name of the workload, `unknown` for a client outside of the mesh. */
  readonly source: string;
  readonly namespace: string;
  readonly protocol: 'http' | 'tcp';
  /** Requests; for TCP connections. */
  readonly requests: number;
  /** RFC 3339; a look at the counters is every 15 s, and whenever somebody asks. */
  readonly lastSeen: string;
}

/** Whether a workload may take mutual TLS only; the answer to `mtls readiness` has one for each. */
export interface MutualTlsReadiness {
  readonly workload: string;
  readonly namespace: string;
  readonly sidecar: boolean;
  readonly mode: MutualTlsModeText;
  readonly ports: readonly { readonly port: number; readonly mode: MutualTlsModeText }[];
  /** The PeerAuthentications that decide, the widest first. */
  readonly policies: readonly ObjectRef[];
  /** Of the last hour, the latest first. */
  readonly plaintextCallers: readonly PlaintextCaller[];
  /** Fields of DestinationRules by which clients call without the mesh's certificate. */
  readonly plaintextRules: readonly (ObjectRef & {
    readonly path: string;
    readonly host: string;
    readonly port: number;
    readonly mode: string;
  })[];
  /** Somebody's calls would fail under STRICT. */
  readonly wouldBreak: boolean;
  /** Why, in words. */
  readonly reasons: readonly string[];
}

export type MutualTlsModeText = 'STRICT' | 'PERMISSIVE' | 'DISABLE';

/** Body of `jwt check`. */
export interface JwtCheckRequest {
  readonly token: string;
  /** Workload that is called, as `logs` takes it; '' in `namespace` for any. */
  readonly workload: string;
  readonly namespace: string;
  /** Workload that calls, or a SPIFFE id; '' for a caller of whom nothing is known. */
  readonly from: string;
  readonly method: string;
  readonly path: string;
  /** Host header; '' for the workload's name. */
  readonly host: string;
  /** 0 for the first port. */
  readonly port: number;
}

/** Answer of `jwt check`. */
export interface JwtCheckAnswer {
  readonly verdict: 'allowed' | 'denied';
  /** 401 for a token that does not verify, 403 for one that may not; 200 stands for the application's own. */
  readonly status: 200 | 401 | 403;
  /** False where nobody looks at the token. */
  readonly verified: boolean;
  readonly issuer: string;
  readonly subject: string;
  readonly audience: readonly string[];
  /** The key that made the signature; null when the token was not verified. */
  readonly key: { readonly kid: string; readonly alg: string; readonly kty: string } | null;
  /** RFC 3339; '' for a token that does not end, or that cannot be read. */
  readonly expiry: string;
  readonly reason: string;
  /** The object and field that decided; null where the lack of one did. */
  readonly policy: (ObjectRef & { readonly path: string }) | null;
  /** False where something on the way is not known, such as the word of an external authorizer. */
  readonly certain: boolean;
}

/** Body of every answer that is no success. */
export interface ControlError {
  readonly error: string;
}
