/** Where Envoy gets a named resource from: over the one ADS stream, or secrets over the agent's SDS socket. */
import { create } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import type { ConfigSource } from '#proto/envoy/config/core/v3/config_source_pb.ts';
import {
  ApiConfigSource_ApiType as ApiType,
  ApiVersion,
  ConfigSourceSchema,
} from '#proto/envoy/config/core/v3/config_source_pb.ts';

/** Over ADS, waiting for the first answer as long as it takes (Istio: initial_fetch_timeout 0s). */
export function adsConfigSource(): ConfigSource {
  return create(ConfigSourceSchema, {
    configSourceSpecifier: { case: 'ads', value: {} },
    initialFetchTimeout: { seconds: 0n, nanos: 0 },
    resourceApiVersion: ApiVersion.V3,
  });
}

/** From the agent: the bootstrap's static cluster `sds-grpc` is the agent's Unix socket. */
export function sdsConfigSource(): ConfigSource {
  const source = serverConfigSource('sds-grpc');
  source.initialFetchTimeout = create(DurationSchema, { seconds: 0n, nanos: 0 });
  return source;
}

/** From a gRPC server of secrets, on a stream of its own; waits as long as Envoy does by itself. */
export function serverConfigSource(clusterName: string, authority = ''): ConfigSource {
  return create(ConfigSourceSchema, {
    configSourceSpecifier: {
      case: 'apiConfigSource',
      value: {
        apiType: ApiType.GRPC,
        transportApiVersion: ApiVersion.V3,
        setNodeOnFirstMessageOnly: true,
        grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName, authority } } }],
      },
    },
    resourceApiVersion: ApiVersion.V3,
  });
}
