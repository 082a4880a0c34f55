/**
 * Kubernetes EndpointSlice: addresses behind one Service. Its fields stand at the object's root, here in `spec`.
 */
import type { Findings } from './findings.ts';
import type { JsonObject } from './json-scalar.ts';
import { boolean, field, integer, list, object, oneOf, optional, type Read, text } from './shape-decode.ts';

/** One entry of `endpoints`. */
export interface SliceEndpoint {
  readonly addresses: readonly string[];
  /** Absent counts as true. */
  readonly ready: boolean;
  /** Absent counts as true. */
  readonly serving: boolean;
  /** Absent counts as true for what is not ready, as Istio takes it. Source: Istio endpointslice.go endpointHealthStatus. */
  readonly terminating: boolean;
  readonly hostname: string;
  readonly nodeName: string;
  readonly zone: string;
  readonly targetRef?: { readonly kind: string; readonly namespace: string; readonly name: string };
}

/** One entry of `ports`; port 0 stands for 'all ports'. */
export interface SlicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly appProtocol: string;
}

/** The root fields of an EndpointSlice; the service is named by the label kubernetes.io/service-name. */
export interface EndpointSliceSpec {
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly SlicePort[];
}

const LOOSE = { unknown: 'ignore' } as const;

interface RawEndpoint {
  readonly addresses: readonly string[];
  readonly conditions?: {
    readonly ready?: boolean;
    readonly serving?: boolean;
    readonly terminating?: boolean;
  };
  readonly hostname: string;
  readonly nodeName: string;
  readonly zone: string;
  readonly targetRef?: TargetRef;
}

/** The object that an address belongs to. */
export interface TargetRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Reads the object that an address belongs to. */
export const readTargetRef: Read<TargetRef> = object<TargetRef>(
  { kind: field(text, ''), namespace: field(text, ''), name: field(text, '') },
  LOOSE,
);

const readConditions = object<NonNullable<RawEndpoint['conditions']>>(
  { ready: optional(boolean), serving: optional(boolean), terminating: optional(boolean) },
  LOOSE,
);

const readEndpoint = object<RawEndpoint>(
  {
    addresses: field(list(text), []),
    conditions: optional(readConditions),
    hostname: field(text, ''),
    nodeName: field(text, ''),
    zone: field(text, ''),
    targetRef: optional(readTargetRef),
  },
  LOOSE,
);

const readRoot = object<{
  readonly addressType: EndpointSliceSpec['addressType'];
  readonly endpoints: readonly RawEndpoint[];
  readonly ports: readonly SlicePort[];
}>(
  {
    addressType: field(oneOf('IPv4', 'IPv6', 'FQDN'), 'IPv4'),
    endpoints: field(list(readEndpoint), []),
    ports: field(
      list(
        object<SlicePort>(
          {
            name: field(text, ''),
            port: field(integer(0, 65535), 0),
            protocol: field(oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
            appProtocol: field(text, ''),
          },
          LOOSE,
        ),
      ),
      [],
    ),
  },
  LOOSE,
);

/** Reads the root fields of an EndpointSlice. */
export function decodeEndpointSliceSpec(root: JsonObject, findings: Findings): EndpointSliceSpec | undefined {
  const raw = readRoot(root, '', findings);
  return raw === undefined ? undefined : { ...raw, endpoints: raw.endpoints.map(completeEndpoint) };
}

function completeEndpoint(raw: RawEndpoint): SliceEndpoint {
  const { conditions, ...rest } = raw;
  const ready = conditions?.ready ?? true;
  return {
    ...rest,
    ready,
    serving: conditions?.serving ?? true,
    terminating: conditions?.terminating ?? !ready,
  };
}

/** The root fields of an EndpointSlice as Kubernetes has them. */
export function encodeEndpointSliceSpec(spec: EndpointSliceSpec): JsonObject {
  const endpoints = spec.endpoints.map(({ ready, serving, terminating, ...rest }) => ({
    ...rest,
    conditions: { ready, serving, terminating },
  }));
  return { addressType: spec.addressType, endpoints, ports: spec.ports };
}
