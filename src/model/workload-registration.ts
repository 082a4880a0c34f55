/**
 * WorkloadEntries that proxies outside of a cluster register for themselves: the entry that a proxy gets from its WorkloadGroup, who
 * may have which, and what the annotations of an entry say about the proxy behind it. Pure; acted on by controllers/workload-registration.ts.
 * Source: istio pilot/pkg/autoregistration (controller.go, internal/health/util.go).
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { isObjectName } from '#api/name-rules.ts';
import type { WorkloadEntrySpec } from '#api/workload-entry.ts';
import type { WorkloadGroupSpec } from '#api/workload-group.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Locality, Proxy } from './proxy.ts';

/** Names the WorkloadGroup that an entry was registered for. */
export const GROUP_ANNOTATION = 'istio.io/autoRegistrationGroup';
/** Its presence lets a proxy report health; only a true value makes the report count. */
export const HEALTH_CHECKS_ANNOTATION = 'proxy.istio.io/health-checks-enabled';
/** Condition of an entry's status. */
export const HEALTHY_CONDITION = 'Healthy';

const CONTROLLER_ANNOTATION = 'istio.io/workloadController';
const CONNECTED_ANNOTATION = 'istio.io/connectedAt';
const DISCONNECTED_ANNOTATION = 'istio.io/disconnectedAt';
/** Says where the proxy is, with marks that no label value may have; the entry has a field for that. */
const LOCALITY_LABEL = 'istio-locality';
const TUNNEL_LABEL = 'networking.istio.io/tunnel';
const MAX_NAME_CHARACTERS = 253;

type Texts = Readonly<Record<string, string>>;

/** An entry to be made, as a document. */
export interface EntryDocument {
  readonly apiVersion: string;
  readonly kind: 'WorkloadEntry';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Texts;
    readonly annotations: Texts;
  };
  readonly spec: WorkloadEntrySpec;
}

/** The group that the proxy says it belongs to; '' for none. Source: node metadata AUTO_REGISTER_GROUP. */
export function registrationGroup(proxy: Proxy): string {
  return proxy.metadata['AUTO_REGISTER_GROUP'] ?? '';
}

/** The entry that the proxy says it is the proxy of; '' for none. Source: node metadata WORKLOAD_ENTRY. */
export function claimedEntry(proxy: Proxy): string {
  return proxy.metadata['WORKLOAD_ENTRY'] ?? '';
}

/** `group-address[-network]`, with its end kept when it is too long. Errors: a text when that is no name of an object. */
export function registeredEntryName(proxy: Proxy): Result<string, string> {
  const address = (proxy.addresses[0] ?? '').replaceAll(':', '-');
  const parts = [registrationGroup(proxy), address, ...(proxy.network === '' ? [] : [proxy.network])];
  const name = parts.join('-').slice(-MAX_NAME_CHARACTERS);
  return isObjectName(name)
    ? ok(name)
    : fail(`${JSON.stringify(name)} cannot be the name of a WorkloadEntry`);
}

/** The entry of a proxy, not connected yet. Labels of the node win over those of the group, and these over the template's. */
export function entryFromGroup(
  proxy: Proxy,
  group: MeshObject<WorkloadGroupSpec>,
  name: string,
): EntryDocument {
  const { template = {}, metadata = {} } = group.spec;
  const labels = textsOf(template.labels, metadata.labels, proxy.labels);
  delete labels[LOCALITY_LABEL];
  if (acceptsTunnels(proxy)) labels[TUNNEL_LABEL] ??= 'http';
  const annotations = textsOf({ [GROUP_ANNOTATION]: group.name }, metadata.annotations);
  if (proxy.proxyConfig['readinessProbe'] !== undefined) annotations[HEALTH_CHECKS_ANNOTATION] = 'true';
  const locality = localityText(proxy.locality);
  return {
    apiVersion: group.apiVersion,
    kind: 'WorkloadEntry',
    metadata: { name, namespace: group.namespace, labels, annotations },
    spec: {
      ...template,
      address: proxy.addresses[0] ?? '',
      labels,
      ...(proxy.network === '' ? {} : { network: proxy.network }),
      ...(locality === '' ? {} : { locality }),
    },
  };
}

function textsOf(...maps: readonly (Texts | undefined)[]): Record<string, string> {
  return Object.assign(Object.create(null), ...maps) as Record<string, string>;
}

/** Source: node metadata ENABLE_HBONE. */
function acceptsTunnels({ metadata }: Proxy): boolean {
  return metadata['ENABLE_HBONE'] === 'true' || metadata['ENABLE_HBONE'] === '1';
}

/** `region/zone/subzone` without empty ends. Source: istio networking/util LocalityToString. */
function localityText({ region, zone, subzone }: Locality): string {
  if (region === '' || zone === '') return region;
  return subzone === '' ? `${region}/${zone}` : `${region}/${zone}/${subzone}`;
}

/** What of an entry decides whose it may be. */
export interface EntryOwnership {
  readonly namespace: string;
  readonly annotations: Texts;
  readonly spec: WorkloadEntrySpec;
}

/** Why the proxy may not speak for the entry; undefined when it may. `group`: '' for a proxy that registers for none. */
export function controlProblem(proxy: Proxy, entry: EntryOwnership, group: string): string | undefined {
  const { serviceAccount = '' } = entry.spec;
  if (proxy.identity === undefined) return 'a WorkloadEntry is registered by a proven identity only';
  if (proxy.namespace !== entry.namespace)
    return `${proxy.identity} is of another namespace than the WorkloadEntry, ${entry.namespace}`;
  if (serviceAccount !== '' && serviceAccount !== proxy.serviceAccount)
    return `${proxy.identity} is of another service account than the WorkloadEntry, ${serviceAccount}`;
  const registered = entry.annotations[GROUP_ANNOTATION] ?? '';
  if (group !== '' && registered !== '' && registered !== group)
    return `the WorkloadEntry was registered for another group, ${registered}`;
  return undefined;
}

/** What an entry's annotations say about its proxy. Times are Unix milliseconds. */
export interface EntryPresence {
  /** The control plane that the proxy is, or was last, connected to. */
  readonly controller: string;
  readonly connectedAtMs: number | undefined;
  readonly disconnectedAtMs: number | undefined;
}

/** Reads them; a time that cannot be read counts as long ago. */
export function readPresence(annotations: Texts): EntryPresence {
  return {
    controller: annotations[CONTROLLER_ANNOTATION] ?? '',
    connectedAtMs: timeOf(annotations[CONNECTED_ANNOTATION]),
    disconnectedAtMs: timeOf(annotations[DISCONNECTED_ANNOTATION]),
  };
}

function timeOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? 0 : ms;
}

/** The annotations of an entry whose proxy is connected. */
export function withConnected(annotations: Texts, controller: string, atMs: number): Texts {
  const now = textsOf(annotations, {
    [CONTROLLER_ANNOTATION]: controller,
    [CONNECTED_ANNOTATION]: new Date(atMs).toISOString(),
  });
  delete now[DISCONNECTED_ANNOTATION];
  return now;
}

/** The annotations of an entry whose proxy has gone. */
export function withDisconnected(annotations: Texts, atMs: number): Texts {
  const now = textsOf(annotations, { [DISCONNECTED_ANNOTATION]: new Date(atMs).toISOString() });
  delete now[CONNECTED_ANNOTATION];
  return now;
}

/** True when the entry does not say yet that its proxy is connected to this control plane, nor to another one since. */
export function lacksConnection(presence: EntryPresence, controller: string, atMs: number): boolean {
  const { connectedAtMs = Number.NEGATIVE_INFINITY } = presence;
  if (connectedAtMs > atMs) return false;
  return (
    presence.controller !== controller || connectedAtMs < atMs || presence.disconnectedAtMs !== undefined
  );
}

/** True when the entry still says that its proxy is connected to this control plane, by the connection that has ended. */
export function lacksDisconnection(presence: EntryPresence, controller: string, atMs: number): boolean {
  const { connectedAtMs } = presence;
  return presence.controller === controller && connectedAtMs !== undefined && connectedAtMs <= atMs;
}

/** An entry as far as its clean-up is concerned. */
export interface EntryRemains {
  readonly annotations: Texts;
  readonly hasHealth: boolean;
}

/**
 * What is to become of an entry: nothing, it goes, or what was known of its health goes (a user made it). `graceMs`: how long it
 * outlives the connection of its proxy.
 */
export function cleanup(
  { annotations, hasHealth }: EntryRemains,
  nowMs: number,
  graceMs: number,
): 'keep' | 'remove' | 'forgetHealth' {
  const isRegistered = (annotations[GROUP_ANNOTATION] ?? '') !== '';
  const { controller, connectedAtMs, disconnectedAtMs } = readPresence(annotations);
  if (!isRegistered && (controller === '' || !hasHealth)) return 'keep';
  if (connectedAtMs !== undefined || disconnectedAtMs === undefined) return 'keep';
  if (nowMs - disconnectedAtMs < graceMs) return 'keep';
  return isRegistered ? 'remove' : 'forgetHealth';
}
