/**
 * Takes secrets out of Envoy's messages before they are shown: every field that Envoy's own definitions mark as sensitive, also
 * inside of Any, however it came in (an EnvoyFilter may hold a private key). As Envoy's admin interface does.
 * Source: envoy source/common/protobuf/utility.cc MessageUtil::redact; udpa/annotations/sensitive.proto.
 */
import {
  type DescField,
  type DescMessage,
  getOption,
  type Message,
  type Registry,
  ScalarType,
} from '@bufbuild/protobuf';
import { reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import { type Any, anyPack, anyUnpack, AnySchema } from '@bufbuild/protobuf/wkt';
import { sensitive } from '#proto/udpa/annotations/sensitive_pb.ts';

const REDACTED = '[redacted]';
/** Messages of Envoy are not deeper than this; what is, is left out. */
const MAX_DEPTH = 64;

/** Redacts a message in place. */
export function redact(schema: DescMessage, message: Message, registry: Registry): void {
  redactMessage(reflect(schema, message, false), { registry, isSensitive: false, depth: 0 });
}

interface Place {
  readonly registry: Registry;
  /** Everything below is sensitive. */
  readonly isSensitive: boolean;
  readonly depth: number;
}

function redactMessage(message: ReflectMessage, place: Place): void {
  if (place.depth > MAX_DEPTH) {
    for (const field of message.fields) message.clear(field);
    return;
  }
  if (message.desc.typeName === AnySchema.typeName) {
    redactAny(message.message as Any, place);
    return;
  }
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const isSensitive = place.isSensitive || getOption(field, sensitive);
    redactField(message, field, { ...place, isSensitive, depth: place.depth + 1 });
  }
}

function redactAny(any: Any, place: Place): void {
  const inner = anyUnpack(any, place.registry);
  const desc = inner === undefined ? undefined : place.registry.getMessage(inner.$typeName);
  if (inner === undefined || desc === undefined) {
    if (place.isSensitive) any.value = new Uint8Array();
    return;
  }
  redactMessage(reflect(desc, inner, false), { ...place, depth: place.depth + 1 });
  anyPack(desc, inner, any);
}

function redactField(message: ReflectMessage, field: DescField, place: Place): void {
  switch (field.fieldKind) {
    case 'message':
      redactMessage(message.get(field), place);
      break;
    case 'list':
      if (field.listKind === 'message')
        for (const item of message.get(field)) redactMessage(item as ReflectMessage, place);
      else if (place.isSensitive) message.clear(field);
      break;
    case 'map':
      if (field.mapKind === 'message') {
        for (const [, item] of message.get(field)) redactMessage(item as ReflectMessage, place);
      } else if (place.isSensitive) message.clear(field);
      break;
    default:
      if (place.isSensitive) redactScalar(message, field);
  }
}

function redactScalar(message: ReflectMessage, field: DescField): void {
  if (field.scalar === ScalarType.STRING) message.set(field, REDACTED);
  else if (field.scalar === ScalarType.BYTES) message.set(field, Buffer.from(REDACTED));
  else message.clear(field);
}
