/** A proxy's configuration stream to a control plane's secure port, held open: what an agent and its Envoy would say, in few words. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { DeltaDiscoveryRequestSchema } from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_CLUSTER } from '#xds/resource.ts';

const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const HEALTH = 'type.googleapis.com/istio.v1.HealthInformation';
const MAX_MESSAGE_BYTES = 4 << 20;

export interface ProxyNode {
  readonly id: string;
  readonly metadata: NonNullable<
    NonNullable<MessageInitShape<typeof DeltaDiscoveryRequestSchema>['node']>['metadata']
  >;
}

export class ProxyStream implements Disposable {
  /** Resolves with the gRPC status with which the control plane ended the stream, or with '0' when the first answer has come. */
  readonly answered: Promise<string>;
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;

  /** Opens it and asks for clusters. */
  constructor(port: number, token: string, node: ProxyNode) {
    this.#session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    this.#session.on('error', () => {});
    this.#stream = this.#session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: ADS,
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${token}`,
    });
    const stream = this.#stream;
    stream.on('error', () => {});
    const reader = new GrpcFrameReader(MAX_MESSAGE_BYTES);
    this.answered = new Promise((resolve) => {
      const take = (headers: Readonly<Record<string, unknown>>): void => {
        if (headers['grpc-status'] !== undefined) resolve(String(headers['grpc-status']));
      };
      stream.on('response', take);
      stream.on('trailers', take);
      stream.on('data', (chunk: Buffer) => {
        if (reader.push(chunk).length > 0) resolve('0');
      });
    });
    this.#send({ node, typeUrl: TYPE_CLUSTER });
  }

  /** Says how the application is; '' for healthy. */
  report(problem: string): void {
    const error = problem === '' ? {} : { errorDetail: { code: 13, message: problem } };
    this.#send({ typeUrl: HEALTH, ...error });
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }

  #send(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
    const message = create(DeltaDiscoveryRequestSchema, request);
    this.#stream.write(grpcFrame(toBinary(DeltaDiscoveryRequestSchema, message)));
  }
}
