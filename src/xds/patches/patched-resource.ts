/**
 * One resource under one list of patches: the second node behind an encoded resource. Decoded, patched as the message that
 * its builder made, and encoded again; once for all who have the same resource and an equal list. What no patch means
 * stays the resource that it was.
 */
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { identityMemo } from '#collections/identity-memo.ts';
import { hashHex } from '#base/hash.ts';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { encodeCanonical } from '#xds/encode.ts';
import type { Resource } from '#xds/resource.ts';
import { cannotMeanCluster, patchCluster } from './cluster-patches.ts';
import { patchInlineRoutes } from './inline-routes.ts';
import { patchListener } from './listener-patches.ts';
import { type PatchList, PatchTrace, patchesFor } from './patch-list.ts';

/** What became of a resource. */
export interface PatchedResource {
  /** Undefined when it is removed. */
  readonly resource: Resource | undefined;
  /** Positions of the patches that changed it. */
  readonly applied: readonly number[];
}

/** Patches resources of one type; remembers each for as long as resource and list live. */
export type ResourcePatcher = (resource: Resource, list: PatchList) => PatchedResource;

/** Changes a message in place; false when it is removed. */
type ChangeMessage<D extends DescMessage> = (
  message: MessageShape<D>,
  list: PatchList,
  trace: PatchTrace,
) => boolean;

/** A patcher of clusters. Those whose name no patch can mean are not decoded. */
export function clusterPatcher(): ResourcePatcher {
  const patch = messagePatcher(ClusterSchema, (cluster, list, trace) =>
    patchCluster(cluster, patchesFor(list, 'CLUSTER'), trace),
  );
  return (resource, list) =>
    patchesFor(list, 'CLUSTER').every((one) => cannotMeanCluster(one, resource.name))
      ? unchanged(resource)
      : patch(resource, list);
}

/** A patcher of listeners. Route configurations in them come first, as they are made before the listener is. */
export function listenerPatcher(): ResourcePatcher {
  return messagePatcher(ListenerSchema, (listener, list, trace) => {
    patchInlineRoutes(listener, list, trace);
    return patchListener(listener, list, trace);
  });
}

/** The answer for a resource that no patch means. */
export function unchanged(resource: Resource): PatchedResource {
  return { resource, applied: [] };
}

function messagePatcher<D extends DescMessage>(schema: D, change: ChangeMessage<D>): ResourcePatcher {
  return identityMemo<[Resource, PatchList], PatchedResource>((resource, list) => {
    const trace = new PatchTrace(list);
    const message = fromBinary(schema, resource.bytes);
    const stays = change(message, list, trace);
    const { applied, hasApplied } = trace;
    if (!stays) return { resource: undefined, applied };
    if (!hasApplied) return { resource, applied };
    const bytes = encodeCanonical(schema, message);
    return { resource: withBytes(resource, bytes, list, applied), applied };
  });
}

/** The resource with other content. */
export function withBytes(
  resource: Resource,
  bytes: Uint8Array,
  list: PatchList,
  applied: readonly number[],
): Resource {
  const added = applied.flatMap((position) => list.patches[position]?.references ?? []);
  const references = [...new Set([...(resource.references ?? []), ...added])];
  return {
    ...resource,
    bytes,
    version: hashHex(bytes),
    ...(references.length === 0 ? {} : { references }),
  };
}
