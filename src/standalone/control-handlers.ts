/** What the control door answers: each path checked in its arguments and handed to the part that knows. */
import { findKind } from '#api/kind-registry.ts';
import type { Clock } from '#base/clock.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import {
  type ApplyFile,
  type ApplyRequest,
  CONTROL_PATHS,
  type DeleteRequest,
  type ExecEnvironment,
  type MeshStatus,
  type MutualTlsReadiness,
} from '#doors/control-protocol.ts';
import type { WorkloadMutualTls } from '#explain/mutual-tls-readiness.ts';
import type { AgentWatch } from './agent-watch.ts';
import { captureEnvironment } from './app-environment.ts';
import {
  type ControlCall,
  type ControlHandler,
  type ControlHandlers,
  ControlRefusal,
} from './control-door.ts';
import type { EdgeWatch } from './edge-watch.ts';
import { streamLogs } from './log-handler.ts';
import type { MeshEvents } from './mesh-events.ts';
import { mutualTlsReport } from './mutual-tls-report.ts';
import type { ObjectWriter } from './object-writer.ts';
import type { Replica } from './replica.ts';
import { findReplicas } from './replica-search.ts';
import { checkJwt, readJwtCheck, type TokenHandlerParts } from './token-handler.ts';

export interface ControlParts {
  readonly status: () => MeshStatus;
  readonly writer: ObjectWriter;
  readonly replicas: () => readonly Replica[];
  readonly events: MeshEvents;
  readonly edges: EdgeWatch;
  readonly agents: AgentWatch;
  readonly mutualTls: () => readonly WorkloadMutualTls[];
  readonly judgeToken: TokenHandlerParts['judgeToken'];
  readonly gateways: TokenHandlerParts['gateways'];
  readonly askDown: () => void;
  readonly clock: Clock;
  readonly httpProxyPort: number;
  readonly trustDomain: string;
}

const MAX_WAIT_MS = 600_000;

/** Handlers by method and path. */
export function controlHandlers(parts: ControlParts): ControlHandlers {
  const { writer } = parts;
  const entries: readonly (readonly [string, ControlHandler])[] = [
    [`GET ${CONTROL_PATHS.status}`, () => statusNow(parts)],
    [`GET ${CONTROL_PATHS.objects}`, ({ query }) => ({ items: writer.objects(kindOf(query.get('kind'))) })],
    [`GET ${CONTROL_PATHS.sources}`, ({ query }) => findSource(writer, query)],
    [`POST ${CONTROL_PATHS.apply}`, ({ body }) => writer.apply(applyRequest(body))],
    [`POST ${CONTROL_PATHS.remove}`, ({ body }) => writer.remove(deleteRequest(body))],
    [`GET ${CONTROL_PATHS.events}`, (call) => streamEvents(parts.events, call)],
    [`GET ${CONTROL_PATHS.logs}`, (call) => streamLogs(search(parts, call.query), call, parts.clock)],
    [`GET ${CONTROL_PATHS.exec}`, ({ query }) => execEnvironment(parts, query)],
    [`GET ${CONTROL_PATHS.edges}`, () => parts.edges.edges()],
    [`GET ${CONTROL_PATHS.mtlsReadiness}`, () => mtlsReadiness(parts)],
    [`POST ${CONTROL_PATHS.jwtCheck}`, ({ body }) => checkJwt(parts, readJwtCheck(record(body)))],
    [`POST ${CONTROL_PATHS.down}`, () => askDown(parts)],
  ];
  return new Map(entries);
}

/** With the certificates of replicas that have become ready since the last look. */
async function statusNow({ agents, status }: ControlParts): Promise<MeshStatus> {
  await agents.lookAtNew();
  return status();
}

async function mtlsReadiness({ agents, mutualTls }: ControlParts): Promise<readonly MutualTlsReadiness[]> {
  await agents.look();
  return mutualTlsReport(mutualTls(), (workload) => agents.plainCallersOf(workload));
}

function askDown(parts: ControlParts): { readonly pid: number } {
  // After the answer is on its way, so that the caller hears of it.
  parts.clock.schedule(0, parts.askDown);
  return { pid: process.pid };
}

function kindOf(name: string | null): string | undefined {
  if (name === null) return undefined;
  const kind = findKind(name)?.kind;
  if (kind === undefined) throw new ControlRefusal(404, `no kind ${name}`);
  return kind;
}

function findSource(writer: ObjectWriter, query: URLSearchParams): unknown {
  const kind = kindOf(query.get('kind')) ?? '';
  const ref = { kind, namespace: query.get('namespace') ?? '', name: query.get('name') ?? '' };
  const source = writer.source(ref);
  if (source === undefined) {
    throw new ControlRefusal(404, `${kind} "${ref.name}" not found in namespace "${ref.namespace}"`);
  }
  return source;
}

function search(parts: ControlParts, query: URLSearchParams): readonly Replica[] {
  const { replicas, problem } = findReplicas(
    parts.replicas(),
    query.get('name') ?? '',
    query.get('namespace') ?? undefined,
  );
  if (problem !== '') throw new ControlRefusal(404, problem);
  return replicas;
}

function execEnvironment(parts: ControlParts, query: URLSearchParams): ExecEnvironment {
  const replicas = search(parts, query);
  const replica = replicas.find((one) => one.ready) ?? replicas[0];
  if (replica === undefined || replica.isGateway) {
    throw new ControlRefusal(400, 'a gateway has no application, so no command can run as one');
  }
  const { object, replica: number, addresses, workingDir } = replica.plan;
  const place = { namespace: object.namespace, workload: object.name, replica: number, addresses };
  const env = captureEnvironment({ ...place, httpProxyPort: parts.httpProxyPort });
  const identity = `spiffe://${parts.trustDomain}/ns/${object.namespace}/sa/${object.spec.serviceAccount}`;
  return { env: Object.fromEntries(env), cwd: workingDir, identity };
}

/** One event per line; goes on until the caller leaves when it asked to follow. */
async function streamEvents(events: MeshEvents, { query, send, signal }: ControlCall): Promise<undefined> {
  for (const event of events.all) send(`${JSON.stringify(event)}\n`);
  if (query.get('follow') !== 'true') return undefined;
  using _listening = events.listen((event) => send(`${JSON.stringify(event)}\n`));
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  return undefined;
}

function applyRequest(body: unknown): ApplyRequest {
  const fields = record(body);
  return {
    files: readFiles(fields['files']),
    namespace: text(fields['namespace']),
    dryRun: fields['dryRun'] === true,
    ...waiting(fields),
  };
}

function deleteRequest(body: unknown): DeleteRequest {
  const fields = record(body);
  return {
    refs: list(fields['refs']).map(readRef),
    files: readFiles(fields['files']),
    namespace: text(fields['namespace']),
    ignoreNotFound: fields['ignoreNotFound'] === true,
    ...waiting(fields),
  };
}

function waiting(fields: Readonly<Record<string, unknown>>): Pick<ApplyRequest, 'wait' | 'timeoutMs'> {
  const timeoutMs = Number(fields['timeoutMs'] ?? 0);
  return { wait: fields['wait'] === true, timeoutMs: Math.min(Math.max(0, timeoutMs || 0), MAX_WAIT_MS) };
}

function readFiles(value: unknown): readonly ApplyFile[] {
  return list(value).map((item) => ({ name: text(record(item)['name']), text: text(record(item)['text']) }));
}

function readRef(value: unknown): ObjectRef {
  const fields = record(value);
  return { kind: text(fields['kind']), namespace: text(fields['namespace']), name: text(fields['name']) };
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
