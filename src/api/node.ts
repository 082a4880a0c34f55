/**
 * Kubernetes Node: addresses; locality comes from its labels.
 */
import type { Findings } from './findings.ts';
import type { JsonObject } from './json-scalar.ts';
import { field, list, object, text } from './shape-decode.ts';

/** One entry of status.addresses. */
export interface NodeAddress {
  readonly type: string;
  readonly address: string;
}

/** What the mesh reads of a node. */
export interface NodeSpec {
  readonly addresses: readonly NodeAddress[];
}

const LOOSE = { unknown: 'ignore' } as const;

const readStatus = object<NodeSpec>(
  {
    addresses: field(
      list(object<NodeAddress>({ type: field(text, ''), address: field(text, '') }, LOOSE)),
      [],
    ),
  },
  LOOSE,
);

/** Reads the addresses in a Node's status. */
export function decodeNodeSpec(root: JsonObject, findings: Findings): NodeSpec | undefined {
  return readStatus(root['status'] ?? {}, 'status', findings);
}

/** The part of a Node that we keep, where Kubernetes has it. */
export function encodeNodeSpec(spec: NodeSpec): JsonObject {
  return { status: { addresses: spec.addresses } };
}
