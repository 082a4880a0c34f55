/**
 * An encoded RouteConfiguration as its parts: one record per virtual host, and what stands before and behind them. Records
 * are views on the table's bytes, tag and length included, so that taking apart and putting together copies once.
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { WireReader } from '#base/proto-wire.ts';
import { type VirtualHost, VirtualHostSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { encodeCanonical } from '#xds/encode.ts';
import { concatenate } from '#xds/routes/bytes.ts';

/** Fields by number. */
const VIRTUAL_HOSTS = 2;
const HOST_NAME = 1;
const HOST_DOMAINS = 2;

/** The parts, by number of their fields: together they are what the whole would be encoded as. */
export interface TableParts {
  readonly head: Uint8Array;
  readonly hosts: readonly Uint8Array[];
  readonly tail: Uint8Array;
}

/** What patches find a virtual host by. */
export interface HostFace {
  readonly name: string;
  readonly domains: readonly string[];
}

export function takeApart(bytes: Uint8Array): TableParts {
  const reader = new BinaryReader(bytes);
  const head: Uint8Array[] = [];
  const hosts: Uint8Array[] = [];
  const tail: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, wireType] = reader.tag();
    reader.skip(wireType);
    const part = field === VIRTUAL_HOSTS ? hosts : field < VIRTUAL_HOSTS ? head : tail;
    part.push(bytes.subarray(start, reader.pos));
  }
  return { head: concatenate(head), hosts, tail: concatenate(tail) };
}

export function putTogether({ head, hosts, tail }: TableParts): Uint8Array {
  return concatenate([head, ...hosts, tail]);
}

/** The virtual host's own bytes. */
export function contentOf(record: Uint8Array): Uint8Array {
  const reader = new BinaryReader(record);
  reader.tag();
  return reader.bytes();
}

export function recordOf(host: VirtualHost): Uint8Array {
  const bytes = encodeCanonical(VirtualHostSchema, host);
  return new BinaryWriter().tag(VIRTUAL_HOSTS, WireType.LengthDelimited).bytes(bytes).finish();
}

/** Name and domains, without decoding the rest. */
export function faceOf(record: Uint8Array): HostFace {
  const reader = new WireReader(contentOf(record));
  const domains: string[] = [];
  let name = '';
  while (reader.next()) {
    if (reader.field === HOST_NAME) name = reader.string();
    else if (reader.field === HOST_DOMAINS) domains.push(reader.string());
  }
  return { name, domains };
}
