/**
 * The control plane that pilot-discovery runs: mesh, its sources (a folder, a cluster), xDS and the HTTP doors, opened in the
 * order in which they can be useful and closed the other way round. Ready means: all sources have been read and their
 * mesh computed.
 */
import { join, resolve } from 'node:path';
import { type Clock, systemClock } from '#base/clock.ts';
import { tlsLimits } from '#base/compliance.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { AsyncScope } from '#base/disposable.ts';
import { hashHex } from '#base/hash.ts';
import { createLogger, isLogLevel, type Logger, LogLevels } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import type { HeldBackController } from '#controllers/held-back.ts';
import type { Leadership } from '#kube/leader-election.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { Readiness } from '#doors/health.ts';
import { FilesSource } from '#sources/files.ts';
import { NamespaceFilter } from '#sources/namespace-filter.ts';
import type { SourceBatch } from '#sources/object-sink.ts';
import { recordAddresses } from './address-records.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';
import { addressOf, type DiscoveryFlags } from './discovery-flags.ts';
import { openDiscoveryDoors } from './discovery-doors.ts';
import { openHeldBack } from './held-back.ts';
import { type KubeAccess, openKubeAccess } from './kube-access.ts';
import { type KubeFeed, openKubeFeed } from './kube-feed.ts';
import { openGatewayNames } from './gateway-names.ts';
import { openKeySets } from './key-sets.ts';
import { openMeshTrustAnchors } from './mesh-trust-anchors.ts';
import { logFindings } from './finding-log.ts';
import { createMesh, type Mesh, type MeshOptions } from './mesh.ts';
import { openLeadership, replicaName } from './leadership.ts';
import { openRegistration, type Registration } from './registration.ts';
import { openSecureDoor } from './secure-door.ts';
import { serviceNames } from './server-names.ts';
import { stateFolder } from './state-folder.ts';
import { VERSION } from './version.ts';
import { createMeshMetrics, type MeshMetrics } from './mesh-metrics.ts';
import { MeshSettings } from './mesh-settings.ts';
import { openWebhookDoor } from './webhook-door.ts';
import { openXdsDoor, type XdsDoor } from './xds-door.ts';

/** How long the first try of token issuers' key sets may hold up readiness. */
const FIRST_LOOK_UPS_MS = 5_000;

/** A running control plane. */
export interface Discovery {
  close(): Promise<void>;
}

/** What everything else is opened over. */
interface Parts {
  readonly flags: DiscoveryFlags;
  readonly environment: DiscoveryEnvironment;
  readonly mesh: Mesh;
  readonly settings: MeshSettings;
  readonly heldBack: HeldBackController;
  readonly metrics: MeshMetrics;
  readonly readiness: Readiness;
  readonly kube: KubeAccess | undefined;
  readonly registration: Registration;
  readonly clock: Clock;
  readonly log: Logger;
  /** Everything that there was at the start is in the mesh. */
  readonly isComputed: () => boolean;
}

/** Opens everything. Errors: rejects with a text for people; what was opened until then is closed again. */
export async function openDiscovery(
  flags: DiscoveryFlags,
  environment: DiscoveryEnvironment,
): Promise<Discovery> {
  const clock = systemClock();
  const log = openLog(flags, clock);
  for (const warning of environment.warnings) log.warn(warning);
  for (const flag of flags.withoutEffect) log.warn('flag has no effect here', { flag });
  const scope = new AsyncScope();
  try {
    await openAll({ flags, environment, clock, log }, scope);
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
  return { close: () => scope[Symbol.asyncDispose]() };
}

async function openAll(
  start: Pick<Parts, 'flags' | 'environment' | 'clock' | 'log'>,
  scope: AsyncScope,
): Promise<void> {
  const { flags, environment, clock, log } = start;
  const settings = scope.add(openSettings(flags, environment, clock, log));
  const meshOptions = meshOptionsOf(flags, environment, settings.config, log);
  const mesh = createMesh(meshOptions);
  scope.add(logFindings(mesh, log.scope('config')));
  const kube = openKubeAccess(flags, clock);
  if (kube !== undefined) scope.add(kube);
  const readiness = new Readiness();
  const state = { isComputed: false };
  const isComputed = (): boolean => state.isComputed;
  readiness.add('configuration', isComputed);
  const folder = verdictFolder(flags);
  const heldBack = scope.add(
    await openHeldBack({ mesh, meshOptions, clock, log: log.scope('heldback'), folder }),
  );
  const metrics = scope.add(createMeshMetrics(mesh, clock));
  const { keySetRefreshMs: refreshMs } = environment;
  const keySets = scope.add(
    openKeySets({ mesh, clock, log: log.scope('jwks'), metrics, loopback: false, refreshMs }),
  );
  scope.add(openMeshTrustAnchors({ mesh, clock, log: log.scope('trustbundle'), loopback: false }));
  const gatewayNames = scope.add(openGatewayNames(mesh, clock, log.scope('networks')));
  const registration = scope.add(openEntries({ ...start, mesh, heldBack, metrics, kube }));
  const parts: Parts = {
    ...start,
    settings,
    mesh,
    kube,
    readiness,
    isComputed,
    heldBack,
    metrics,
    registration,
  };
  const door = await openDoors(parts, scope);
  const cluster = await openSources(parts, scope);
  const doorParts = { ...parts, leadership: openLeadership(parts, cluster, scope) };
  if (cluster !== undefined) void openRecords(doorParts, cluster, scope);
  const secured = openSecureDoor(doorParts, door, cluster, scope).then(() =>
    openWebhookDoor(doorParts, door, scope),
  );
  const computed = computeFirst(mesh, cluster, [keySets, gatewayNames]).then(() => {
    state.isComputed = true;
  });
  const ready = Promise.all([computed, secured]).then(() =>
    log.info('ready', { grpc: door.plainPort, secureGrpc: door.securePort }),
  );
  // While a cluster is away the program runs, and can be stopped.
  if (cluster === undefined) await ready;
}

/** Istio's kinds come from the folder where there is one, and so do entries. */
function openEntries(
  parts: Pick<Parts, 'flags' | 'environment' | 'clock' | 'log' | 'mesh' | 'heldBack' | 'metrics' | 'kube'>,
): Registration {
  const { flags, environment, log, kube } = parts;
  return openRegistration({
    ...parts,
    settings: environment.registration,
    controller: replicaName(environment),
    log: log.scope('wle'),
    client: flags.configDir === '' ? kube?.registrar : undefined,
  });
}

/** ServiceEntries of a folder have no status. */
async function openRecords(
  { flags, environment, mesh, kube, leadership, clock, log }: Parts & { readonly leadership: Leadership },
  cluster: KubeFeed,
  scope: AsyncScope,
): Promise<void> {
  if (kube === undefined || flags.configDir !== '' || !environment.flags.ipAutoallocate) return;
  const parts = { mesh, client: kube.client, leadership, clock, log: log.scope('ip-autoallocate') };
  await recordAddresses(parts, cluster, scope);
}

/** Follows folder, cluster and mesh settings; gives the cluster, if there is one. */
async function openSources(parts: Parts, scope: AsyncScope): Promise<KubeFeed | undefined> {
  const { flags, environment, mesh, settings, heldBack, clock, log, metrics, readiness, kube } = parts;
  const folder = flags.configDir === '' ? undefined : scope.add(await openFolder(flags.configDir, parts));
  const shared = {
    flags,
    environment,
    mesh,
    meshConfig: settings.config,
    heldBack,
    clock,
    log: log.scope('kube'),
  };
  const cluster =
    kube === undefined
      ? undefined
      : openKubeFeed({ ...shared, client: kube.client, metrics: metrics.registry });
  if (cluster !== undefined) addCluster(scope.add(cluster), readiness);
  settings.follow(mesh, cluster !== undefined, ({ discoverySelectors = [] }) => {
    folder?.filter.select(discoverySelectors);
    cluster?.source.select(discoverySelectors);
  });
  return cluster;
}

/** Opens plain xDS, then the HTTP doors; `scope` closes them the other way round. */
async function openDoors(parts: Parts, scope: AsyncScope): Promise<XdsDoor> {
  const { flags, environment, mesh, clock, log, heldBack, metrics, readiness } = parts;
  const plain = addressOf(flags.grpcAddr);
  const door = await openXdsDoor({
    mesh,
    clock,
    rng: systemRng(),
    log,
    metrics: metrics.ads,
    version: VERSION,
    ...(plain === undefined ? {} : { plain }),
    serverNames: serviceNames(flags.namespace, environment),
    tlsLimits: tlsLimits(environment.flags.compliance),
    limits: { ...environment.grpcLimits, ...flags.grpcLimits },
    onNack: (event) => heldBack.refused(event),
    registrar: parts.registration,
    isReady: parts.isComputed,
  });
  scope.add({ [Symbol.asyncDispose]: () => door.close() });
  const doors = await openDiscoveryDoors({
    http: addressOf(flags.httpAddr),
    monitoring: addressOf(flags.monitoringAddr),
    mesh,
    door,
    metrics: metrics.registry,
    version: VERSION,
    readiness,
    hasDebugPages: environment.hasDebugPages,
    debugAccess: environment.debugAccess,
    hasLocalMetrics: environment.hasLocalMetrics,
    log: log.scope('http'),
  });
  scope.add(doors);
  return door;
}

function openLog(flags: DiscoveryFlags, clock: Clock): Logger {
  const format = flags.logAsJson ? 'json' : 'text';
  const sink = (line: string): void => void process.stdout.write(`${line}\n`);
  return createLogger({ clock, levels: logLevels(flags.logLevel), format, sink });
}

/** Another folder of objects is another mesh, whose objects may have the same names. */
function verdictFolder(flags: DiscoveryFlags): string {
  const mesh = flags.configDir === '' ? `kubernetes ${flags.clusterID}` : resolve(flags.configDir);
  return join(stateFolder(), 'held-back', hashHex(mesh));
}

function meshOptionsOf(
  flags: DiscoveryFlags,
  environment: DiscoveryEnvironment,
  meshConfig: MeshConfigJson,
  log: Logger,
): MeshOptions {
  return {
    meshConfig,
    clusterId: flags.clusterID,
    clusterDomain: flags.domain,
    flags: environment.flags,
    environment: process.env,
    onError: (collection, key, error) =>
      log.error('derivation failed', { collection, key, error: String(error) }),
  };
}

/**
 * Resolves when everything that there is at the start has been computed. Key sets have their first try too: with them, a
 * restart refuses no token that was good before.
 */
async function computeFirst(
  mesh: Mesh,
  cluster: KubeFeed | undefined,
  lookUps: readonly { tried(limitMs: number): Promise<void> }[],
): Promise<void> {
  await cluster?.source.synced;
  await mesh.driver.settled();
  await Promise.all(lookUps.map((one) => one.tried(FIRST_LOOK_UPS_MS)));
  await mesh.driver.settled();
}

/** /ready names what the first lists wait for. */
function addCluster({ source, waitingFor }: KubeFeed, readiness: Readiness): void {
  readiness.add('kubernetes', () => source.state.isReady, waitingFor);
}

/** The objects of a folder, but for those of namespaces that mesh config leaves out. */
interface FolderObjects extends Disposable {
  readonly filter: NamespaceFilter;
}

async function openFolder(folder: string, parts: Parts): Promise<FolderObjects> {
  const { mesh, settings, heldBack, log, registration } = parts;
  const sink = {
    apply(given: SourceBatch): void {
      const batch = registration.weave(given);
      heldBack.applying(batch);
      mesh.objects.apply(batch);
      mesh.driver.poke();
      for (const diagnostic of batch.diagnostics) log.scope('config').warn(printDiagnostic(diagnostic));
    },
  };
  const filter = new NamespaceFilter(sink, settings.config.discoverySelectors ?? []);
  const clock = systemClock();
  const source = new FilesSource({ folder, clock, defaultNamespace: 'default', sink: filter });
  await source.start();
  return { filter, [Symbol.dispose]: () => source[Symbol.dispose]() };
}

function openSettings(
  flags: DiscoveryFlags,
  { revision, sharedMeshConfig }: DiscoveryEnvironment,
  clock: Clock,
  log: Logger,
): MeshSettings {
  return new MeshSettings({
    meshConfigFile: flags.meshConfig,
    networksFile: flags.networksConfig,
    namespace: flags.namespace,
    revision,
    sharedConfigMap: sharedMeshConfig,
    clock,
    log: log.scope('meshconfig'),
  });
}

/** `default:info,ads:debug` or a bare level. */
function logLevels(text: string): LogLevels {
  const levels = new LogLevels();
  for (const part of text.split(',')) {
    const [scope, level] = part.includes(':') ? (part.split(':') as [string, string]) : ['default', part];
    if (isLogLevel(level)) levels.set(scope, level);
  }
  return levels;
}
