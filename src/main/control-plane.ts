/**
 * A control plane in this process, as the mesh on one machine uses it: mesh, CA and xDS on free loopback ports, and the
 * few calls that the runner makes. Everything is constructed here and closed here.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Connection } from '#ads/connections.ts';
import { KINDS } from '#api/kind-registry.ts';
import { parseMeshConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { referenceWarnings } from '#api/reference-check.ts';
import type { SecretSpec } from '#api/secret.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { type Clock, systemClock } from '#base/clock.ts';
import { createLogger, type Logger, LogLevels } from '#base/logger.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import { systemRng } from '#base/rng.ts';
import { type LocalAuthority, openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import type { HeldBackController } from '#controllers/held-back.ts';
import type { KeySetController } from '#controllers/key-sets.ts';
import { DEFAULT_REGISTRATION } from '#controllers/workload-registration.ts';
import { mutualTlsOfWorkloads } from '#explain/mutual-tls-readiness.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type {
  ControlPlane,
  ControlPlaneOptions,
  ProxySync,
  SyncState,
  TrustRoots,
} from '#standalone/control-plane.ts';
import { openHeldBack } from './held-back.ts';
import { Readiness } from '#doors/health.ts';
import { type DiscoveryDoors, openDiscoveryDoors, STRICT_DEBUG_ACCESS } from './discovery-doors.ts';
import { createMeshMetrics, registerAuthorityMetrics, registerTrustBundleMetrics } from './mesh-metrics.ts';
import { openKeySets } from './key-sets.ts';
import { openMeshTrustAnchors } from './mesh-trust-anchors.ts';
import { certificateReport } from './certificate-status.ts';
import { judgeToken } from './token-judge.ts';
import { openRegistration, type Registration } from './registration.ts';
import { createMesh, type Mesh, type MeshOptions } from './mesh.ts';
import { VERSION } from './version.ts';
import { openXdsDoor, type XdsDoor } from './xds-door.ts';
import { TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE } from '#xds/resource.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** Opens one. Errors: rejects with a text for people when the state folder or a port can't be had. */
export async function openControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const clock = systemClock();
  const log = createLogger({ clock, levels: new LogLevels(), format: 'text', sink: options.log });
  const meshConfig: MeshConfigJson = parseMeshConfig(options.meshConfig).config;
  const meshOptions = meshOptionsOf(meshConfig, log);
  const mesh = createMesh(meshOptions);
  const authority = await openAuthority(options.stateDir, meshConfig, clock, log.scope('ca'));
  const heldBack = await openHeldBack({
    mesh,
    meshOptions,
    clock,
    log: log.scope('heldback'),
    folder: join(options.stateDir, 'held-back'),
    sharesDisk: true,
  });
  const metrics = createMeshMetrics(mesh, clock);
  const registration = openRegistration({
    mesh,
    heldBack,
    metrics,
    settings: { ...DEFAULT_REGISTRATION, ...options.registration },
    controller: 'lateen',
    clock,
    log: log.scope('wle'),
    client: undefined,
  });
  const keySets = openKeySets({ mesh, clock, log: log.scope('jwks'), metrics, loopback: true });
  const anchors = openMeshTrustAnchors({ mesh, clock, log: log.scope('trustbundle'), loopback: true });
  const door = await openXdsDoor({
    mesh,
    clock,
    rng: systemRng(),
    log,
    metrics: metrics.ads,
    version: VERSION,
    plain: LOOPBACK,
    onNack: (event) => heldBack.refused(event),
    registrar: registration,
  });
  await door.listenSecurely(authority, LOOPBACK, { isAlone: () => true });
  registerAuthorityMetrics(metrics.registry, authority, clock);
  registerTrustBundleMetrics(metrics.registry, door);
  const doors = await openDiscoveryDoors({
    http: LOOPBACK,
    monitoring: undefined,
    mesh,
    door,
    metrics: metrics.registry,
    version: VERSION,
    readiness: new Readiness(),
    hasDebugPages: true,
    debugAccess: STRICT_DEBUG_ACCESS,
    log: log.scope('http'),
  });
  return controlPlane({ mesh, clock, door, doors, authority, heldBack, keySets, anchors, registration });
}

function meshOptionsOf(meshConfig: MeshConfigJson, log: Logger): MeshOptions {
  return {
    meshConfig,
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    environment: process.env,
    onError: (collection, key, error) =>
      log.error('derivation failed', { collection, key, error: String(error) }),
  };
}

/** The CA, with its root in the state folder. Errors: throws a text for people. */
async function openAuthority(
  stateDir: string,
  { trustDomain = 'cluster.local', trustDomainAliases = [] }: MeshConfigJson,
  clock: Clock,
  log: Logger,
): Promise<LocalAuthority> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const authority = await openCertificateAuthority({
    folder: join(stateDir, 'ca'),
    trustDomain,
    trustDomainAliases,
    signer: defaultSignerOptions,
    tokenVerifiers: [],
    clock,
    log,
  });
  if (!authority.ok) throw new Error(authority.error);
  return authority.value;
}

interface Parts {
  readonly mesh: Mesh;
  readonly clock: Clock;
  readonly door: XdsDoor;
  readonly doors: DiscoveryDoors;
  readonly authority: LocalAuthority;
  readonly heldBack: HeldBackController;
  readonly keySets: KeySetController;
  readonly anchors: Disposable;
  readonly registration: Registration;
}

function controlPlane(parts: Parts): ControlPlane {
  const { mesh, clock, door, doors, authority, heldBack, registration } = parts;
  const { driver, objects, replicas } = mesh;
  const replicaKey = (namespace: string, workload: string, replica: number): string =>
    `${namespace}/${workload}-${replica}`;
  return {
    addresses: {
      xds: `127.0.0.1:${door.plainPort}`,
      secure: `127.0.0.1:${door.securePort}`,
      http: `127.0.0.1:${doors.httpPort}`,
    },
    version: VERSION,
    async apply(given) {
      const batch = registration.weave(given);
      heldBack.applying(batch);
      objects.apply(batch);
      await driver.settled();
    },
    objects: (kind) => objectsOf(mesh, kind),
    watch(kind, onChange) {
      onChange(objectsOf(mesh, kind));
      return mesh.engine.watch(objects.of(kind), () => onChange(objectsOf(mesh, kind)));
    },
    ...answers(mesh, clock),
    configure(meshConfig) {
      mesh.meshConfig.set(MESH_KEY, meshConfig);
      driver.poke();
    },
    setReplica(replica) {
      replicas.set(replicaKey(replica.namespace, replica.workload, replica.replica), replica);
      driver.poke();
    },
    removeReplica(namespace, workload, replica) {
      replicas.delete(replicaKey(namespace, workload, replica));
      driver.poke();
    },
    async issueToken({ namespace, serviceAccount, workload, replica }) {
      const subject = { namespace, serviceAccount, facts: { workload }, instance: `${workload}-${replica}` };
      return (await authority.tokens.issueToken(subject)).reveal();
    },
    roots: rootsOf(authority),
    certificates: () =>
      certificateReport(authority.rotation, mesh.objects.of<SecretSpec>('Secret').all().values()),
    proxies: () => Array.from(door.ads.connections, (connection) => proxySync(connection)),
    async waitForProxies(timeoutMs) {
      await driver.settled();
      const report = await door.ads.connections.waitForAck(door.ads.epoch.number, timeoutMs);
      return { pending: report.waitingFor };
    },
    heldBack: () =>
      heldBack.list().map(({ kind, namespace, name, reason, since, lastGood }) => {
        return { kind, namespace, name, reason, since, lastGood: lastGood !== undefined };
      }),
    close: () => closeAll(parts),
  };
}

/** The other way round than it was opened. */
async function closeAll(parts: Parts): Promise<void> {
  const { door, doors, authority, heldBack, keySets, anchors, registration } = parts;
  anchors[Symbol.dispose]();
  keySets[Symbol.dispose]();
  await doors[Symbol.asyncDispose]();
  await door.close();
  await registration[Symbol.asyncDispose]();
  await heldBack[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
}

/** What is found out when somebody asks. */
function answers(
  mesh: Mesh,
  clock: Clock,
): Pick<ControlPlane, 'warnings' | 'findings' | 'mutualTls' | 'judgeToken'> {
  return {
    warnings: (refs) => warningsOf(mesh, refs),
    findings: () => findingsOf(mesh),
    mutualTls: () => mutualTlsOfWorkloads(mesh.graph.security),
    judgeToken: (proxy, request) => judgeToken(mesh, clock, proxy, request),
  };
}

function rootsOf({ rotation }: LocalAuthority): TrustRoots {
  return { pem: () => rotation.rootsPem, watch: (changed) => rotation.watch(changed) };
}

function warningsOf(mesh: Mesh, refs: readonly ObjectRef[]): readonly Diagnostic[] {
  const wanted = new Set(refs.map(objectKey));
  const all = [...referenceWarnings(mesh.objects.all()), ...findingsOf(mesh)];
  return all.filter(({ resource }) => resource !== undefined && wanted.has(objectKey(resource)));
}

function findingsOf(mesh: Mesh): Diagnostic[] {
  return [...[...mesh.graph.findings.all().values()].flat(), ...mesh.graph.idlePatches()];
}

function objectsOf(mesh: Mesh, kind: string | undefined): MeshObject[] {
  if (kind !== undefined) return [...mesh.objects.of(kind).all().values()];
  return KINDS.flatMap((row) => [...mesh.objects.of(row.kind).all().values()]);
}

function proxySync(connection: Connection): ProxySync {
  const state = (typeUrl: string): SyncState => {
    const status = connection.types.get(typeUrl);
    if (status === undefined || status.sentNonce === '') return 'NOT SENT';
    return status.sentNonce === status.ackedNonce ? 'SYNCED' : 'STALE';
  };
  return {
    name: connection.node.proxy.name,
    namespace: connection.node.proxy.namespace,
    cds: state(TYPE_CLUSTER),
    eds: state(TYPE_ENDPOINT),
    lds: state(TYPE_LISTENER),
    rds: state(TYPE_ROUTE),
  };
}
