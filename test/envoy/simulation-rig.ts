/**
 * A real Envoy on the configuration that one proxy of a mesh gets, reached as if its traffic were captured, and what it says in
 * its access log of each call. Only the sockets differ from what the control plane sends: they are on loopback and read
 * the original addresses from a PROXY protocol header.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { MeshConfig } from '#api/mesh-config.ts';
import { ListenerFilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ProxyProtocolSchema } from '#proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts';
import type { HopCall } from '#simulation/hop.ts';
import { socketAddress } from '#xds/address.ts';
import { packAny } from '#xds/encode.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { EnvoyFeed } from '../support/envoy-feed.ts';
import { envoyPath } from './agent-fixture.ts';
import { type Answer, CallClient } from './simulation-client.ts';
import { ownAddress } from './static-envoy.ts';
import type { TestAuthority, WorkloadCertificate } from './workload-certificates.ts';

/** Header that tells calls apart in the log. */
export const CALL_HEADER = 'x-call';
const PARALLEL_CONNECTIONS = 16;
const LOG_LIMIT_MS = 5_000;
const LOG_QUIET_MS = 200;

const LOG_FIELDS = {
  call: '%REQ(X-CALL)%',
  from: '%DOWNSTREAM_REMOTE_ADDRESS%',
  route: '%ROUTE_NAME%',
  cluster: '%UPSTREAM_CLUSTER_RAW%',
  host: '%UPSTREAM_HOST%',
  code: '%RESPONSE_CODE%',
  details: '%RESPONSE_CODE_DETAILS%',
  flags: '%RESPONSE_FLAGS%',
  end: '%CONNECTION_TERMINATION_DETAILS%',
  path: '%REQ(:PATH)%',
  authority: '%REQ(:AUTHORITY)%',
  chain: '%FILTER_CHAIN_NAME%',
  tls: '%DOWNSTREAM_TRANSPORT_FAILURE_REASON%',
} as const;

/** A line of the access log; null where Envoy has nothing to say. */
export type LogLine = Readonly<Record<keyof typeof LOG_FIELDS, string | number | null>>;

/** Ports of the listeners behind iptables. */
export type CapturePorts = Readonly<Record<HopCall['direction'], number>>;

/** A call, the connection that it shares with others of the same number, and the key of its certificate. */
export interface RigCall extends HopCall {
  readonly group: number;
  readonly certificate: WorkloadCertificate | undefined;
}

/** What really happened. */
export interface Truth {
  readonly call: RigCall;
  readonly answer: Answer;
  /** Undefined where Envoy logged nothing. */
  readonly log: LogLine | undefined;
}

export class SimulationRig implements AsyncDisposable {
  readonly #feed: EnvoyFeed;
  readonly #folder: string;
  #address = '';
  #capture: CapturePorts | undefined;

  private constructor(feed: EnvoyFeed, folder: string) {
    this.#feed = feed;
    this.#folder = folder;
  }

  /** Starts Envoy with a certificate for the SPIFFE id, of a CA that it may share with another rig. */
  static async start(spiffeId?: string, authority?: TestAuthority): Promise<SimulationRig> {
    const feed = await EnvoyFeed.start(await envoyPath(), {
      ...(spiffeId === undefined ? {} : { spiffeId }),
      ...(authority === undefined ? {} : { authority }),
    });
    return new SimulationRig(feed, mkdtempSync(join(tmpdir(), 'lateen-simulation-')));
  }

  get authority(): TestAuthority {
    return this.#feed.authority;
  }

  /** The part of mesh config by which Envoy tells the truth. */
  meshConfig(): Partial<Record<keyof MeshConfig, unknown>> {
    return {
      accessLogFile: this.#logFile(),
      accessLogEncoding: 'JSON',
      accessLogFormat: JSON.stringify(LOG_FIELDS),
    };
  }

  /** Gives Envoy the configuration of a proxy. Captured traffic comes in at its ports; a gateway has none of them. */
  async load(snapshot: ProxySnapshot, capture?: CapturePorts): Promise<void> {
    this.#capture = capture;
    this.#address = ownAddress();
    writeFileSync(this.#logFile(), '');
    await this.#feed.accept(snapshot, (listener) => openDoor(listener, this.#address));
  }

  /** Makes the calls, those of a group one after the other on one connection, and reads the log. */
  async run(calls: readonly RigCall[]): Promise<readonly Truth[]> {
    const answers: Answer[] = [];
    const groups = [...Map.groupBy(calls.entries(), ([, { group }]) => group).values()];
    const next = groups[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const group of next) await this.#runGroup(group, answers);
    };
    await Promise.all(Array.from({ length: PARALLEL_CONNECTIONS }, worker));
    return this.#readTruth(calls, answers);
  }

  /** Where captured connections of a direction come in. */
  door(direction: HopCall['direction']): { readonly address: string; readonly port: number } {
    return { address: this.#address, port: this.#capture?.[direction] ?? 0 };
  }

  /** All that Envoy has logged since it was loaded. */
  logLines(): readonly LogLine[] {
    const lines = readFileSync(this.#logFile(), 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as LogLine);
  }

  async #runGroup(group: readonly (readonly [number, RigCall])[], answers: Answer[]): Promise<void> {
    const [first] = group;
    if (first === undefined) return;
    const { direction, connection, certificate } = first[1];
    const client = new CallClient(this.#door(direction, connection.port, certificate), connection);
    for (const [index, { request }] of group) {
      const headers = [...(request?.headers ?? []), [CALL_HEADER, String(index)] as const];
      answers[index] = await client.send(request === undefined ? undefined : { ...request, headers });
    }
    await client.close();
  }

  #door(direction: HopCall['direction'], port: number, certificate: WorkloadCertificate | undefined) {
    return { address: this.#address, port: this.#capture?.[direction] ?? port, certificate };
  }

  async #readTruth(calls: readonly RigCall[], answers: readonly Answer[]): Promise<readonly Truth[]> {
    const endMs = performance.now() + LOG_LIMIT_MS;
    let quietSinceMs = performance.now();
    let size = -1;
    for (;;) {
      const lines = this.logLines();
      if (lines.length !== size) quietSinceMs = performance.now();
      size = lines.length;
      const truth = matchLog(calls, answers, lines);
      const isWhole = truth.every(({ answer, log }) => answer.kind === 'closed' || log !== undefined);
      const isQuiet = performance.now() - quietSinceMs > LOG_QUIET_MS;
      if ((isWhole && isQuiet) || performance.now() > endMs) return truth;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #logFile(): string {
    return join(this.#folder, 'access.log');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#feed[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

/** Requests by their header, connections by the port that they seem to come from. */
function matchLog(
  calls: readonly RigCall[],
  answers: readonly Answer[],
  lines: readonly LogLine[],
): readonly Truth[] {
  const byCall = new Map<string, LogLine>();
  const byPort = new Map<string, LogLine>();
  for (const log of lines) {
    if (log.call === null) byPort.set(String(log.from).split(':').at(-1) ?? '', log);
    else byCall.set(String(log.call), log);
  }
  return calls.map((call, index) => {
    const log = byCall.get(String(index)) ?? byPort.get(String(call.connection.sourcePort));
    return { call, answer: answers[index] ?? { kind: 'closed' }, log };
  });
}

/** Puts sockets on one loopback address and lets connections say where they come from and go to. */
function openDoor(listener: Listener, address: string): void {
  if (listener.bindToPort === false) return;
  const socket = listener.address?.address;
  const port = socket?.case === 'socketAddress' ? Number(socket.value.portSpecifier.value) : 0;
  listener.address = socketAddress(address, port);
  listener.additionalAddresses = [];
  const proxyProtocol = create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.proxy_protocol',
    configType: { case: 'typedConfig', value: packAny(ProxyProtocolSchema, create(ProxyProtocolSchema)) },
  });
  const at = listener.listenerFilters.findIndex(({ name }) => name === 'envoy.filters.listener.original_dst');
  listener.listenerFilters.splice(at + 1, 0, proxyProtocol);
}
