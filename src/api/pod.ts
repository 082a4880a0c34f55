/**
 * Kubernetes Pod: the few fields of spec and status that decide identity, address, ports and readiness.
 */
import type { Findings } from './findings.ts';
import type { JsonObject } from './json-scalar.ts';
import { boolean, field, integer, list, object, oneOf, optional, type Read, text } from './shape-decode.ts';

/** One container port. */
export interface ContainerPort {
  readonly name: string;
  readonly containerPort: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
}

/** One container (init containers with restartPolicy Always are listed too: native sidecars). */
export interface PodContainer {
  readonly name: string;
  readonly image: string;
  readonly ports: readonly ContainerPort[];
}

/** Owner of an object, from metadata.ownerReferences. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly controller: boolean;
}

/** What the mesh reads of a pod's metadata, spec and status. */
export interface PodSpec {
  readonly serviceAccountName: string;
  readonly nodeName: string;
  readonly hostNetwork: boolean;
  readonly hostname: string;
  readonly subdomain: string;
  readonly containers: readonly PodContainer[];
  readonly initContainers: readonly PodContainer[];
  /** status.podIP first, then the others of status.podIPs. */
  readonly podIPs: readonly string[];
  readonly hostIP: string;
  readonly phase: '' | 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  /** True when the condition Ready is True. */
  readonly ready: boolean;
  /** True once metadata.deletionTimestamp is set. */
  readonly deleting: boolean;
  readonly owners: readonly OwnerReference[];
  /** metadata.uid: tells a pod from another one that had its name. */
  readonly uid: string;
}

const LOOSE = { unknown: 'ignore' } as const;

const readContainer = object<PodContainer>(
  {
    name: field(text, ''),
    image: field(text, ''),
    ports: field(
      list(
        object<ContainerPort>(
          {
            name: field(text, ''),
            containerPort: field(integer(0, 65535), 0),
            protocol: field(oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
          },
          LOOSE,
        ),
      ),
      [],
    ),
  },
  LOOSE,
);

const readSpec = object<
  Pick<
    PodSpec,
    | 'serviceAccountName'
    | 'nodeName'
    | 'hostNetwork'
    | 'hostname'
    | 'subdomain'
    | 'containers'
    | 'initContainers'
  >
>(
  {
    serviceAccountName: field(text, 'default'),
    nodeName: field(text, ''),
    hostNetwork: field(boolean, false),
    hostname: field(text, ''),
    subdomain: field(text, ''),
    containers: field(list(readContainer), []),
    initContainers: field(list(readContainer), []),
  },
  LOOSE,
);

interface RawStatus {
  readonly podIP: string;
  readonly podIPs: readonly { readonly ip: string }[];
  readonly hostIP: string;
  readonly phase: PodSpec['phase'];
  readonly conditions: readonly { readonly type: string; readonly status: string }[];
}

const readStatus = object<RawStatus>(
  {
    podIP: field(text, ''),
    podIPs: field(list(object<{ readonly ip: string }>({ ip: field(text, '') }, LOOSE)), []),
    hostIP: field(text, ''),
    phase: field(oneOf('', 'Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'), ''),
    conditions: field(
      list(
        object<{ readonly type: string; readonly status: string }>(
          { type: field(text, ''), status: field(text, '') },
          LOOSE,
        ),
      ),
      [],
    ),
  },
  LOOSE,
);

interface RawMetadata {
  readonly uid: string;
  readonly deletionTimestamp?: string;
  readonly ownerReferences: readonly OwnerReference[];
}

const readMetadata: Read<RawMetadata> = object<RawMetadata>(
  {
    uid: field(text, ''),
    deletionTimestamp: optional(text),
    ownerReferences: field(
      list(
        object<OwnerReference>(
          {
            apiVersion: field(text, ''),
            kind: field(text, ''),
            name: field(text, ''),
            controller: field(boolean, false),
          },
          LOOSE,
        ),
      ),
      [],
    ),
  },
  LOOSE,
);

/** Reads what the mesh needs of a Pod's metadata, spec and status. */
export function decodePodSpec(root: JsonObject, findings: Findings): PodSpec | undefined {
  const spec = readSpec(root['spec'] ?? {}, 'spec', findings);
  const status = readStatus(root['status'] ?? {}, 'status', findings);
  const metadata = readMetadata(root['metadata'] ?? {}, 'metadata', findings);
  if (spec === undefined || status === undefined || metadata === undefined) return undefined;
  const addresses = new Set(
    [status.podIP, ...status.podIPs.map((item) => item.ip)].filter((ip) => ip !== ''),
  );
  return {
    ...spec,
    podIPs: [...addresses],
    hostIP: status.hostIP,
    phase: status.phase,
    ready: status.conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
    deleting: metadata.deletionTimestamp !== undefined,
    owners: metadata.ownerReferences,
    uid: metadata.uid,
  };
}

/** The parts of a Pod that we keep, where Kubernetes has them. */
export function encodePodSpec(spec: PodSpec): JsonObject {
  const { podIPs, hostIP, phase, ready, deleting: _deleting, owners: _owners, uid: _uid, ...rest } = spec;
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  return {
    spec: rest,
    status: { podIP: podIPs[0] ?? '', podIPs: podIPs.map((ip) => ({ ip })), hostIP, phase, conditions },
  };
}
