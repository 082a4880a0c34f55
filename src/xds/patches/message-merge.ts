/**
 * One Envoy message merged into another by reflection: the heart of operation MERGE. Fields that are set win, messages are
 * merged field by field, lists are appended (or replaced), entries of maps are replaced. What zero means decides much here:
 * a field at its zero counts as not set, so `false` merges over nothing, also not inside a wrapper (BoolValue).
 * Source: istio pkg/proto/merge/merge.go, which is protobuf's own merge but for durations, which are replaced whole.
 */
import { clone, type DescField, type DescMessage, isFieldSet, type Message } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';

/** What becomes of a list that both have. */
export type ListMerge = 'append' | 'replace';

type Slot = { readonly holder: Record<string, unknown>; readonly key: string };

const ANY = 'google.protobuf.Any';
const DURATION = 'google.protobuf.Duration';
const STRUCT = 'google.protobuf.Struct';

/** Merges `from` into `into`, both of type `desc`. `from` is not changed and shares nothing with `into` afterwards. */
export function mergeMessage(
  desc: DescMessage,
  into: Message,
  from: Message,
  lists: ListMerge = 'append',
): void {
  for (const field of desc.fields) {
    if (isFieldSet(from, field)) mergeField(field, writeSlot(into, field), readSlot(from, field), lists);
  }
  if (from.$unknown !== undefined) into.$unknown = [...(into.$unknown ?? []), ...from.$unknown];
}

function mergeField(field: DescField, to: Slot, value: unknown, lists: ListMerge): void {
  const { holder, key } = to;
  const known = holder[key];
  switch (field.fieldKind) {
    case 'list':
      holder[key] = [
        ...(lists === 'append' ? ((known ?? []) as readonly unknown[]) : []),
        ...(value as readonly unknown[]).map((item) => copy(field.message, item)),
      ];
      return;
    case 'map':
      holder[key] = mergeEntries(field.message, known as object | undefined, value as object);
      return;
    case 'message':
      holder[key] = mergeSingle(field.message, known, value, lists);
      return;
    default:
      holder[key] = copy(undefined, value);
  }
}

/** The value of a message field; wrappers and google.protobuf.Struct are plain values. */
function mergeSingle(desc: DescMessage, known: unknown, value: unknown, lists: ListMerge): unknown {
  if (known === undefined || desc.typeName === DURATION) return copy(desc, value);
  if (desc.typeName === STRUCT) return mergeEntries(undefined, known as object, value as object);
  if (typeof value !== 'object' || value instanceof Uint8Array) return isZero(value) ? known : value;
  if (desc.typeName === ANY) return mergeAny(known as Any, value as Any);
  mergeMessage(desc, known as Message, value as Message, lists);
  return known;
}

/** An Any that says nothing but its type changes nothing of the same type. */
function mergeAny(known: Any, value: Any): Any {
  const isSilent = value.value.length === 0 && known.typeUrl === value.typeUrl;
  return isSilent ? known : { ...value };
}

/** User-keyed: the result has no prototype. */
function mergeEntries(desc: DescMessage | undefined, known: object | undefined, value: object): object {
  const entries: Record<string, unknown> = Object.assign(Object.create(null), known);
  for (const [key, item] of Object.entries(value)) entries[key] = copy(desc, item);
  return entries;
}

function copy(desc: DescMessage | undefined, value: unknown): unknown {
  if (value instanceof Uint8Array) return value.slice();
  // JSON of a Struct is never changed in place, so it may be shared.
  if (desc === undefined || typeof value !== 'object' || !('$typeName' in (value as object))) return value;
  return clone(desc, value as Message);
}

function isZero(value: unknown): boolean {
  return value instanceof Uint8Array
    ? value.length === 0
    : value === 0 || value === 0n || value === false || value === '';
}

function readSlot(message: Message, field: DescField): unknown {
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  if (field.oneof === undefined) return fields[field.localName];
  return (fields[field.oneof.localName] as { readonly value: unknown }).value;
}

/** Where the field's value stands; setting another member of a oneof clears the one that was set. */
function writeSlot(message: Message, field: DescField): Slot {
  const fields = message as unknown as Record<string, unknown>;
  if (field.oneof === undefined) return { holder: fields, key: field.localName };
  let chosen = fields[field.oneof.localName] as Record<string, unknown>;
  if (chosen['case'] !== field.localName) {
    chosen = { case: field.localName, value: undefined };
    fields[field.oneof.localName] = chosen;
  }
  return { holder: chosen, key: 'value' };
}
