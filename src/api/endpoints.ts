/**
 * Kubernetes Endpoints (the old form of EndpointSlice): read for gateways that users register by hand.
 */
import { readTargetRef } from './endpoint-slice.ts';
import type { Findings } from './findings.ts';
import type { JsonObject } from './json-scalar.ts';
import { field, integer, list, object, oneOf, optional, text } from './shape-decode.ts';

/** One address of a subset. */
export interface EndpointsAddress {
  readonly ip: string;
  readonly hostname: string;
  readonly nodeName: string;
  readonly targetRef?: { readonly kind: string; readonly namespace: string; readonly name: string };
}

/** Addresses and ports that belong together. */
export interface EndpointsSubset {
  readonly addresses: readonly EndpointsAddress[];
  readonly notReadyAddresses: readonly EndpointsAddress[];
  readonly ports: readonly {
    readonly name: string;
    readonly port: number;
    readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  }[];
}

/** The root fields of Endpoints. */
export interface EndpointsSpec {
  readonly subsets: readonly EndpointsSubset[];
}

const LOOSE = { unknown: 'ignore' } as const;

const readAddress = object<EndpointsAddress>(
  {
    ip: field(text, ''),
    hostname: field(text, ''),
    nodeName: field(text, ''),
    targetRef: optional(readTargetRef),
  },
  LOOSE,
);

const readSubset = object<EndpointsSubset>(
  {
    addresses: field(list(readAddress), []),
    notReadyAddresses: field(list(readAddress), []),
    ports: field(
      list(
        object<EndpointsSubset['ports'][number]>(
          {
            name: field(text, ''),
            port: field(integer(0, 65535), 0),
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

const readRoot = object<EndpointsSpec>({ subsets: field(list(readSubset), []) }, LOOSE);

/** Reads the root fields of Endpoints. */
export function decodeEndpointsSpec(root: JsonObject, findings: Findings): EndpointsSpec | undefined {
  return readRoot(root, '', findings);
}
