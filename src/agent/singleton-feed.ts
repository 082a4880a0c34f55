/**
 * Follows a type of which there is one resource, for the agent itself: subscribes to it on Envoy's own stream, takes its responses
 * out of that, and answers them when whoever wanted it says how it went. When the stream is lost the next one brings it anew.
 * Source: Istio pkg/istio-agent/xds_proxy.go (handlers), discovery.proto.
 */
import { GRPC_INVALID_ARGUMENT } from '#base/grpc-frame.ts';
import { WireError, WireReader, WireWriter } from '#base/proto-wire.ts';
import { RequestInjector, ResponseTap, type StreamTap } from './stream-tap.ts';

/**
 * Takes the resource, undefined for one that went away; '' when it is in place, else why it is not. Errors: WireError for what
 * cannot be read.
 */
export type TakeResource = (message: Uint8Array | undefined) => string | Promise<string>;

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

export class SingletonFeed {
  readonly #typeUrl: string;
  readonly #take: TakeResource;

  constructor(typeUrl: string, take: TakeResource) {
    this.#typeUrl = typeUrl;
    this.#take = take;
  }

  /** Joins a stream that Envoy opens. */
  open(isDelta: boolean): Required<StreamTap> {
    const dialect = isDelta ? DELTA : SOTW;
    const requests = new RequestInjector();
    requests.inject(new WireWriter().string(dialect.requestType, this.#typeUrl).finish());
    const responses = new ResponseTap(this.#typeUrl, (message) => {
      const { head, error } = this.#receive(message, dialect);
      if (head.nonce === '') return;
      const answer = (text: string): void => requests.inject(this.#answer(head, text, dialect));
      if (typeof error === 'string') answer(error);
      else void error.then(answer);
    });
    return { requests, responses };
  }

  #receive(message: Uint8Array, dialect: Dialect): { head: ResponseHead; error: string | Promise<string> } {
    let head: ResponseHead = { version: '', nonce: '' };
    try {
      const response = readResponse(message, dialect);
      head = response;
      return { head, error: this.#take(response.resource) };
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      return { head, error: cause.message };
    }
  }

  #answer(head: ResponseHead, error: string, dialect: Dialect): Uint8Array {
    const writer = new WireWriter()
      .string(dialect.requestType, this.#typeUrl)
      .string(dialect.requestNonce, head.nonce);
    if (dialect.requestVersion !== undefined && error === '')
      writer.string(dialect.requestVersion, head.version);
    if (error !== '') {
      const status = new WireWriter().varint(1, GRPC_INVALID_ARGUMENT).string(2, error).finish();
      writer.bytes(dialect.requestError, status);
    }
    return writer.finish();
  }
}

interface ResponseHead {
  readonly version: string;
  readonly nonce: string;
}

function readResponse(
  message: Uint8Array,
  dialect: Dialect,
): ResponseHead & { readonly resource: Uint8Array | undefined } {
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
  return { version, nonce, resource: any === undefined ? undefined : (fieldOf(any, 2) ?? new Uint8Array()) };
}

function fieldOf(message: Uint8Array, field: number): Uint8Array | undefined {
  const reader = new WireReader(message);
  while (reader.next()) if (reader.field === field) return reader.bytes();
  return undefined;
}
