/**
 * N sidecars as xDS clients in a process of their own, so that their cost is not the server's: each opens a connection,
 * asks as Envoy does (CDS; EDS for the EDS clusters; LDS; RDS for one route table) and ACKs everything at once.
 * usage: node bench/clients.ts PORT N  — reads JSON nodes, one per line, from standard input.
 */
import { connect } from 'node:http2';
import { createInterface } from 'node:readline';
import { create, toBinary } from '@bufbuild/protobuf';
import { grpcFrame, GrpcFrameReader } from '#base/grpc-frame.ts';
import { WireReader } from '#base/proto-wire.ts';
import { NodeSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import { DeltaDiscoveryRequestSchema } from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_CLUSTER, TYPE_ENDPOINT, TYPE_LISTENER, TYPE_ROUTE } from '#xds/resource.ts';

interface ClientNode {
  readonly id: string;
  readonly metadata: Record<string, string>;
  readonly route: string;
}

const [port] = process.argv.slice(2);

function startClient(node: ClientNode): void {
  const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 16 << 20 } });
  session.on('connect', () => session.setLocalWindowSize(24 << 20));
  session.on('error', () => process.exit(0));
  const stream = session.request({
    ':method': 'POST',
    ':path': '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const subscribed = new Set<string>();
  const send = (typeUrl: string, subscribe: string[], nonce = '', withNode = false): void => {
    const request = create(DeltaDiscoveryRequestSchema, {
      typeUrl,
      responseNonce: nonce,
      resourceNamesSubscribe: subscribe,
      ...(withNode ? { node: create(NodeSchema, { id: node.id, metadata: node.metadata }) } : {}),
    });
    stream.write(grpcFrame(toBinary(DeltaDiscoveryRequestSchema, request)));
  };
  const reader = new GrpcFrameReader(1 << 30);
  stream.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) {
      const { typeUrl, nonce, names } = readResponse(message, !subscribed.has('eds'));
      send(typeUrl, [], nonce);
      if (typeUrl === TYPE_CLUSTER && !subscribed.has('eds')) {
        subscribed.add('eds');
        send(
          TYPE_ENDPOINT,
          names.filter((name) => name.startsWith('outbound|')),
        );
        send(TYPE_LISTENER, []);
      }
      if (typeUrl === TYPE_LISTENER && !subscribed.has('rds')) {
        subscribed.add('rds');
        send(TYPE_ROUTE, [node.route]);
      }
    }
  });
  send(TYPE_CLUSTER, [], '', true);
}

/** Type, nonce, and where wanted the resources' names of a DeltaDiscoveryResponse. */
function readResponse(
  bytes: Uint8Array,
  wantNames: boolean,
): { typeUrl: string; nonce: string; names: string[] } {
  const reader = new WireReader(bytes);
  const names: string[] = [];
  let typeUrl = '';
  let nonce = '';
  while (reader.next()) {
    if (reader.field === 2 && wantNames) names.push(resourceName(reader.bytes()));
    else if (reader.field === 4) typeUrl = reader.string();
    else if (reader.field === 5) nonce = reader.string();
    else reader.skip();
  }
  return { typeUrl, nonce, names };
}

function resourceName(bytes: Uint8Array): string {
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 3) return reader.string();
    reader.skip();
  }
  return '';
}

for await (const line of createInterface({ input: process.stdin }))
  startClient(JSON.parse(line) as ClientNode);
