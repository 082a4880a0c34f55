/**
 * Messages inside Any values: opened by their type, merged, and packed again. The registry is loaded by the first EnvoyFilter;
 * here it is only asked.
 */
import { type DescMessage, fromBinary, type Message } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { loadEnvoyRegistry } from '#proto/registry-later.gen.ts';
import { encodeCanonical } from '#xds/encode.ts';
import { mergeMessage } from './message-merge.ts';

/**
 * The merge of two packed messages; undefined when they are of different types. Source: istio pilot/pkg/networking/util MergeAnyWithAny; differs:
 * two types that do not fit leave the configuration as it is, where Istio gives up on all that is left of the patches.
 */
export function mergePacked(into: Any, from: Any): Any | undefined {
  const desc = descOf(into);
  if (desc === undefined || desc !== descOf(from)) return undefined;
  const message = open(desc, into);
  mergeMessage(desc, message, open(desc, from));
  return { ...into, value: encodeCanonical(desc, message) };
}

function descOf({ typeUrl }: Any): DescMessage | undefined {
  return loadEnvoyRegistry().getMessage(typeUrl.slice(typeUrl.lastIndexOf('/') + 1));
}

function open(desc: DescMessage, { value }: Any): Message {
  return fromBinary(desc, value);
}
