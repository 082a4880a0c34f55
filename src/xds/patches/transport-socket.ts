/** Transport sockets of clusters and filter chains: the configurations of two of one name merged. */
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import type { TransportSocket } from '#proto/envoy/config/core/v3/base_pb.ts';
import { mergePacked } from './any-message.ts';
import type { PatchTrace } from './patch-list.ts';

/** Merges what is in one socket into the other of the same name. */
export function mergeSocket(
  known: TransportSocket,
  socket: TransportSocket,
  patch: EnvoyPatch,
  trace: PatchTrace,
): void {
  if (known.configType.case !== 'typedConfig' || socket.configType.case !== 'typedConfig') return;
  const merged = mergePacked(known.configType.value, socket.configType.value);
  if (merged === undefined) return;
  known.configType.value = merged;
  trace.mark(patch);
}
