/** A unary gRPC call over a ServerStream: one message in, one message or a status out, within a time. */
import type { Clock } from '#base/clock.ts';
import {
  GRPC_DEADLINE_EXCEEDED,
  GRPC_INTERNAL,
  GRPC_INVALID_ARGUMENT,
  GRPC_OK,
  GRPC_UNIMPLEMENTED,
  type GrpcStatus,
  grpcStatus,
} from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import type { Peer, RequestHeaders } from './peer.ts';
import type { XdsStream } from './xds-stream.ts';

/** Answers one request. A thrown error becomes INTERNAL without its text. */
export type UnaryHandler = (
  request: Uint8Array,
  peer: Peer,
  headers: RequestHeaders,
) => Promise<Uint8Array | GrpcStatus>;

export interface UnaryCall {
  readonly stream: XdsStream;
  readonly peer: Peer;
  readonly headers: RequestHeaders;
  readonly handler: UnaryHandler;
}

/** Runs a call. Costs one timer while it lasts. */
export function serveUnary(call: UnaryCall, timeoutMs: number, clock: Clock, log: Logger): void {
  const { stream, peer, headers, handler } = call;
  let isTaken = false;
  const timer = clock.schedule(timeoutMs, () =>
    stream.close(grpcStatus(GRPC_DEADLINE_EXCEEDED, 'the call took too long')),
  );
  stream.start({
    onMessages: (messages) => {
      const [request] = messages;
      if (isTaken || messages.length > 1 || request === undefined) {
        stream.close(grpcStatus(GRPC_UNIMPLEMENTED, 'the method takes one message'));
        return;
      }
      isTaken = true;
      // The message may be a view on a buffer that the transport uses again.
      handler(Uint8Array.from(request), peer, headers).then(
        (answer) => finish(stream, answer),
        (error: unknown) => {
          log.error('a call failed', { error });
          stream.close(grpcStatus(GRPC_INTERNAL, 'internal error'));
        },
      );
    },
    onHalfClose: () => {
      if (!isTaken) stream.close(grpcStatus(GRPC_INVALID_ARGUMENT, 'the call has no message'));
    },
    onEnd: () => timer[Symbol.dispose](),
  });
}

function finish(stream: XdsStream, answer: Uint8Array | GrpcStatus): void {
  if (!(answer instanceof Uint8Array)) return stream.close(answer);
  stream.send([answer]);
  stream.close(grpcStatus(GRPC_OK));
}
