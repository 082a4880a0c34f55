/**
 * Keeps the DNS server's names as the control plane has them: subscribes to the name table on Envoy's own stream, takes its
 * responses out of it, and answers them. When the stream is lost the names stay until the next one brings them anew.
 * Source: Istio pkg/istio-agent/xds_proxy.go (handlers), discovery.proto.
 */
import { GRPC_INVALID_ARGUMENT } from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import { WireError, WireReader, WireWriter } from '#base/proto-wire.ts';
import { decodeNameTable, type DnsNameTable, type NameScope } from './dns-name-table.ts';
import { RequestInjector, ResponseTap, type StreamTap } from './stream-tap.ts';

const NAME_TABLE_TYPE = 'type.googleapis.com/istio.networking.nds.v1.NameTable';

/** Takes the names. */
export interface NameSink {
  update(table: DnsNameTable): void;
}

/** One of the two forms of the protocol: the numbers of the fields in which they differ. */
interface Dialect {
  readonly requestType: number;
  readonly requestNonce: number;
  readonly requestError: number;
  /** Version in a request; the delta form has none. */
  readonly requestVersion: number | undefined;
  readonly isWrapped: boolean;
}

const SOTW: Dialect = {
  requestType: 4,
  requestNonce: 5,
  requestError: 6,
  requestVersion: 1,
  isWrapped: false,
};
const DELTA: Dialect = {
  requestType: 2,
  requestNonce: 6,
  requestError: 7,
  requestVersion: undefined,
  isWrapped: true,
};

export class DnsNameFeed {
  readonly #sink: NameSink;
  readonly #scope: NameScope;
  readonly #log: Logger;

  constructor(sink: NameSink, scope: NameScope, log: Logger) {
    this.#sink = sink;
    this.#scope = scope;
    this.#log = log;
  }

  /** Joins a stream that Envoy opens. */
  open(isDelta: boolean): Required<StreamTap> {
    const dialect = isDelta ? DELTA : SOTW;
    const requests = new RequestInjector();
    requests.inject(new WireWriter().string(dialect.requestType, NAME_TABLE_TYPE).finish());
    const responses = new ResponseTap(NAME_TABLE_TYPE, (message) => {
      const answer = this.#receive(message, dialect);
      if (answer !== undefined) requests.inject(answer);
    });
    return { requests, responses };
  }

  /** Takes a response and returns the acknowledgement or refusal; undefined when it can't even be read. */
  #receive(message: Uint8Array, dialect: Dialect): Uint8Array | undefined {
    let error = '';
    let head = { version: '', nonce: '' };
    try {
      const response = readResponse(message, dialect);
      head = response;
      // A table that went away altogether leaves the last names standing, as in Istio.
      if (response.table !== undefined) this.#sink.update(decodeNameTable(response.table, this.#scope));
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      error = cause.message;
      this.#log.warn('a name table could not be read', { error });
    }
    return head.nonce === '' ? undefined : encodeAnswer(head, error, dialect);
  }
}

interface NameResponse {
  readonly version: string;
  readonly nonce: string;
  readonly table: Uint8Array | undefined;
}

function readResponse(message: Uint8Array, dialect: Dialect): NameResponse {
  const reader = new WireReader(message);
  let version = '';
  let nonce = '';
  let resource: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.field === 1) version = reader.string();
    else if (reader.field === 2) resource ??= reader.bytes();
    else if (reader.field === 5) nonce = reader.string();
  }
  const any = resource !== undefined && dialect.isWrapped ? fieldOf(resource, 2) : resource;
  return { version, nonce, table: any === undefined ? undefined : (fieldOf(any, 2) ?? new Uint8Array()) };
}

function fieldOf(message: Uint8Array, field: number): Uint8Array | undefined {
  const reader = new WireReader(message);
  while (reader.next()) if (reader.field === field) return reader.bytes();
  return undefined;
}

function encodeAnswer(
  head: { readonly version: string; readonly nonce: string },
  error: string,
  dialect: Dialect,
): Uint8Array {
  const writer = new WireWriter()
    .string(dialect.requestType, NAME_TABLE_TYPE)
    .string(dialect.requestNonce, head.nonce);
  if (dialect.requestVersion !== undefined && error === '')
    writer.string(dialect.requestVersion, head.version);
  if (error !== '') {
    const status = new WireWriter().varint(1, GRPC_INVALID_ARGUMENT).string(2, error).finish();
    writer.bytes(dialect.requestError, status);
  }
  return writer.finish();
}
