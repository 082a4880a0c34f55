/** The value of a patch as the message that its applyTo says: a copy for each use, since what is added may be patched further. */
import { clone, type DescMessage, type Message, type MessageShape } from '@bufbuild/protobuf';
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import { mergeMessage } from './message-merge.ts';

/** A copy of the value; undefined where it is not of that type, which the model rules out. */
export function valueAs<D extends DescMessage>(patch: EnvoyPatch, desc: D): MessageShape<D> | undefined {
  if (patch.value?.$typeName !== desc.typeName) return undefined;
  return clone(desc, patch.value as MessageShape<D>);
}

/** True for the two operations that merge. */
export function isMerge({ operation }: EnvoyPatch): boolean {
  return operation === 'MERGE' || operation === 'MERGE_AND_REPLACE_LIST';
}

/** Merges the value of a patch into a message of its type. */
export function mergeValue(patch: EnvoyPatch, into: Message): void {
  if (patch.value === undefined || patch.desc === undefined) return;
  const lists = patch.operation === 'MERGE_AND_REPLACE_LIST' ? 'replace' : 'append';
  mergeMessage(patch.desc, into, patch.value, lists);
}

/** Merges a value, but for the name: what others refer to keeps it. */
export function mergeNamed(into: Message & { name: string }, patch: EnvoyPatch): void {
  const { name } = into;
  mergeValue(patch, into);
  into.name = name;
}
