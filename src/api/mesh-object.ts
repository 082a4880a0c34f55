/**
 * One object of any kind as the rest of the program sees it: parsed, checked against its schema, normalised.
 * Made by decode-object.ts only. Where it was written (file and line) is not in here: line numbers alone change nothing.
 */
import type { ObjectRef } from '#base/object-ref.ts';
import type { ObjectStatus } from './object-status.ts';

/**
 * An accepted object. `spec` is plain JSON data: for Istio kinds the proto3 JSON form with lowerCamel names, unknown
 * fields refused, enum values as names, durations as strings ("1.5s"); for core kinds a projection of the fields we use.
 */
export interface MeshObject<S = unknown> extends ObjectRef {
  readonly apiVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** metadata.creationTimestamp in Unix milliseconds, 0 when absent. Decides precedence as in Istio (older first, then namespace/name). */
  readonly createdAtMs: number;
  readonly spec: S;
  /** What the mesh reads of the object's status; absent when there is nothing of that. */
  readonly status?: ObjectStatus;
  /** Hash over apiVersion, labels, annotations, spec and status; equal hashes mean an equal object. */
  readonly hash: string;
}
