/**
 * A mesh on one machine, put together: state folder, addresses, control plane, the folder of objects, workloads, control door.
 * Opened in that order and closed in the other; when something fails on the way, what was opened is closed again and
 * nothing is left.
 */
import { dirname, join } from 'node:path';
import type { MeshConfig } from '#api/mesh-config.ts';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { ProxyConfigSpec } from '#api/proxy-config.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Clock } from '#base/clock.ts';
import type { Rng } from '#base/rng.ts';
import type { MeshStatus, ReplicaStatus } from '#doors/control-protocol.ts';
import { AgentWatch } from './agent-watch.ts';
import { claimAddressBlock } from './address-block.ts';
import { openControlDoor } from './control-door.ts';
import { certificateAlerts } from './certificate-alerts.ts';
import type { ControlPlane, OpenControlPlane } from './control-plane.ts';
import { controlHandlers } from './control-handlers.ts';
import { EdgeWatch } from './edge-watch.ts';
import { gatewayPorts, portProblem } from './gateway-ports.ts';
import { LogFile } from './log-file.ts';
import { MeshEvents } from './mesh-events.ts';
import { httpProxyPortOf } from './mesh-settings.ts';
import type { ObjectFolder } from './object-folder.ts';
import { ObjectWriter } from './object-writer.ts';
import type { ReplicaSurroundings } from './replica.ts';
import { replicaStatus } from './replica-status.ts';
import { openStateFolder, type StateFolder } from './state-folder.ts';
import { Supervisor } from './supervisor.ts';
import type { UserFolder } from './user-folder.ts';

/** Mesh config at the start, and what becomes of it. */
export interface LocalMeshConfig {
  readonly current: MeshConfig;
  /** Calls after each change of its text, with what is in force then and what was wrong with the text. */
  follow(onChange: (config: MeshConfig, problems: readonly string[]) => void): Disposable;
}

export interface LocalMeshOptions {
  /** Absolute. */
  readonly dir: string;
  readonly meshConfig: LocalMeshConfig;
  readonly openControlPlane: OpenControlPlane;
  readonly openFolder: (dir: string, controlPlane: ControlPlane) => Promise<ObjectFolder>;
  readonly envoyPath: string;
  /** Program and first arguments of pilot-agent. */
  readonly agentCommand: readonly string[];
  readonly baseEnvironment: ReadonlyMap<string, string>;
  readonly userFolder: UserFolder;
  readonly uid: number;
  readonly clock: Clock;
  readonly rng: Rng;
}

/** How many replicas are ready, of how many. */
export interface MeshProgress {
  readonly ready: number;
  readonly total: number;
}

export interface LocalMesh extends AsyncDisposable {
  readonly dir: string;
  readonly socket: string;
  readonly events: MeshEvents;
  /** Resolves when somebody asked the mesh to stop (`lateen down`). */
  readonly downAsked: Promise<void>;
  status(): MeshStatus;
  /** Resolves when every replica is ready. Errors: rejects when a proxy cannot come up at all. */
  whenUp(onProgress: (progress: MeshProgress) => void, signal: AbortSignal): Promise<void>;
}

const LAST_PUSH_MS = 3000;

/** Opens a mesh. Errors: rejects with a text for people; nothing is left then. */
export async function openLocalMesh(options: LocalMeshOptions): Promise<LocalMesh> {
  await using scope = new AsyncDisposableStack();
  const state = scope.use(openStateFolder(options.dir, options.uid));
  const block = scope.use(await claimAddressBlock());
  const events = new MeshEvents(options.clock);
  if (state.leftOvers > 0) {
    events.add('Warning', 'mesh', `ended ${state.leftOvers} processes that a killed run had left behind`);
  }
  const controlPlane = await openControl(options, state, scope);
  const folder = scope.use(await options.openFolder(options.dir, controlPlane));
  await checkGatewayPorts(controlPlane);
  const supervisor = new Supervisor({
    controlPlane,
    block,
    around: surroundings(options, controlPlane, state, events),
    meshConfig: options.meshConfig.current,
    folderOf: (ref) => dirname(folder.locate(ref)?.file ?? `${options.dir}/.`),
  });
  scope.defer(() => supervisor.stop());
  const edges = scope.use(new EdgeWatch(() => supervisor.replicas, options.clock));
  const agents = scope.use(new AgentWatch(() => supervisor.replicas, options.clock));
  const down = Promise.withResolvers<void>();
  const status = (): MeshStatus => meshStatus(options, { controlPlane, supervisor, folder, agents });
  const writer = new ObjectWriter({ dir: options.dir, folder, controlPlane, clock: options.clock });
  const handlers = controlHandlers({
    status,
    writer,
    replicas: () => supervisor.replicas,
    events,
    edges,
    agents,
    mutualTls: () => controlPlane.mutualTls(),
    judgeToken: (proxy, request) => controlPlane.judgeToken(proxy, request),
    gateways: () => controlPlane.objects('Gateway'),
    askDown: down.resolve,
    clock: options.clock,
    httpProxyPort: httpProxyPortOf(options.meshConfig.current),
    trustDomain: options.meshConfig.current.trustDomain,
  });
  const socket = options.userFolder.socketPath(state.socket);
  scope.use(await openControlDoor(socket, handlers));
  scope.use(options.userFolder.register({ dir: options.dir, pid: process.pid, socket }));
  for (const watch of watchWorkloads(controlPlane, supervisor)) scope.use(watch);
  scope.use(followMeshConfig(options, { controlPlane, supervisor, events }));
  const owned = scope.move();
  return {
    dir: options.dir,
    socket,
    events,
    downAsked: down.promise,
    status,
    whenUp: async (onProgress, signal) => {
      await whenUp(supervisor, onProgress, signal);
      // Ready is not enough: each proxy must have heard of all others.
      if (!signal.aborted) await controlPlane.waitForProxies(LAST_PUSH_MS);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Both kinds are read at each change of either, so that one batch with both starts nothing twice. */
function watchWorkloads(controlPlane: ControlPlane, supervisor: Supervisor): readonly Disposable[] {
  const look = (): void => {
    supervisor.update(
      controlPlane.objects('LocalWorkload') as readonly MeshObject<LocalWorkloadSpec>[],
      controlPlane.objects('ProxyConfig') as readonly MeshObject<ProxyConfigSpec>[],
    );
  };
  return ['LocalWorkload', 'ProxyConfig'].map((kind) => controlPlane.watch(kind, look));
}

interface ConfiguredParts {
  readonly controlPlane: ControlPlane;
  readonly supervisor: Supervisor;
  readonly events: MeshEvents;
}

function followMeshConfig({ meshConfig }: LocalMeshOptions, parts: ConfiguredParts): Disposable {
  return meshConfig.follow((config, problems) => {
    for (const problem of problems) parts.events.add('Warning', 'mesh config', problem);
    parts.controlPlane.configure(config);
    parts.supervisor.configure(config);
  });
}

async function openControl(
  options: LocalMeshOptions,
  state: StateFolder,
  scope: AsyncDisposableStack,
): Promise<ControlPlane> {
  const log = new LogFile(join(state.logs, 'control-plane.log'));
  const controlPlane = await options.openControlPlane({
    stateDir: state.controlPlane,
    meshConfig: options.meshConfig.current,
    log: (line) => log.write(line),
  });
  scope.defer(() => controlPlane.close());
  return controlPlane;
}

/** Errors: throws for the first port that a gateway cannot have. */
async function checkGatewayPorts(controlPlane: ControlPlane): Promise<void> {
  const workloads = controlPlane.objects('LocalWorkload') as readonly MeshObject<LocalWorkloadSpec>[];
  for (const port of gatewayPorts(controlPlane.objects('Gateway'), workloads)) {
    const problem = await portProblem(port);
    if (problem !== '') throw new Error(problem);
  }
}

function surroundings(
  options: LocalMeshOptions,
  controlPlane: ControlPlane,
  state: StateFolder,
  events: MeshEvents,
): ReplicaSurroundings {
  const { envoyPath, agentCommand, baseEnvironment, clock, rng } = options;
  const meshConfig = options.meshConfig.current;
  return {
    envoyPath,
    agentCommand,
    baseEnvironment,
    clock,
    rng,
    events,
    controlPlaneAddress: controlPlane.addresses.secure,
    trustDomain: meshConfig.trustDomain,
    httpProxyPort: httpProxyPortOf(meshConfig),
    runFolder: state.run,
    logFolder: state.logs,
    roots: controlPlane.roots,
  };
}

interface StatusParts {
  readonly controlPlane: ControlPlane;
  readonly supervisor: Supervisor;
  readonly folder: ObjectFolder;
  readonly agents: AgentWatch;
}

function meshStatus(options: LocalMeshOptions, parts: StatusParts): MeshStatus {
  const { controlPlane, supervisor, folder, agents } = parts;
  const { certificates } = agents;
  const { trustDomain } = options.meshConfig.current;
  const sight = { proxies: controlPlane.proxies(), trustDomain, certificates };
  const { replicas } = supervisor;
  const print = (isGateway: boolean): ReplicaStatus[] =>
    replicas
      .filter((replica) => replica.isGateway === isGateway)
      .map((replica) => replicaStatus(replica, sight));
  const report = controlPlane.certificates();
  return {
    workloads: print(false),
    gateways: print(true),
    heldBack: controlPlane.heldBack(),
    controlPlane: { pid: process.pid, addresses: controlPlane.addresses, version: controlPlane.version },
    certificates: {
      rotation: report.rotation,
      list: report.certificates,
      alerts: certificateAlerts(report, [...certificates.values()], options.clock.nowMs()),
    },
    dir: options.dir,
    diagnostics: [...folder.diagnostics(), ...placed(controlPlane.findings(), folder)],
  };
}

/** Findings about objects, at the objects' places in their files. */
function placed(findings: readonly Diagnostic[], folder: ObjectFolder): readonly Diagnostic[] {
  return findings.map((finding) => {
    const at = finding.resource === undefined ? undefined : folder.locate(finding.resource);
    return at === undefined ? finding : { ...finding, at };
  });
}

function whenUp(
  supervisor: Supervisor,
  onProgress: (progress: MeshProgress) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let last = '';
    const look = (): void => {
      const replicas = supervisor.replicas.filter((replica) => !replica.isStopping);
      const progress = { ready: replicas.filter((replica) => replica.ready).length, total: replicas.length };
      const text = `${progress.ready}/${progress.total}`;
      if (text !== last) onProgress(progress);
      last = text;
      const reason = supervisor.hopelessReason();
      if (reason !== '') end(() => reject(new Error(reason)));
      else if (progress.ready === progress.total || signal.aborted) end(resolve);
    };
    const listening = supervisor.onChange(look);
    function end(settle: () => void): void {
      listening[Symbol.dispose]();
      signal.removeEventListener('abort', look);
      settle();
    }
    signal.addEventListener('abort', look);
    look();
  });
}
