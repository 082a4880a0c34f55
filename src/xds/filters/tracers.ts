/**
 * Envoy's tracers for Zipkin, Datadog, SkyWalking and OpenTelemetry. Collectors are services of the mesh, reached by their clusters.
 * Source: istio pilot/pkg/networking/core/tracing.go; Envoy config.trace.v3.
 */
import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import type {
  Collector,
  DynatraceSampler,
  HttpCollector,
  OpenTelemetryTracer,
  Tracer,
  TracerHeader,
  ZipkinTracer,
} from '#model/tracing.ts';
import { HeaderValueOption_HeaderAppendAction as AppendAction } from '#proto/envoy/config/core/v3/base_pb.ts';
import type { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import type { GrpcServiceSchema } from '#proto/envoy/config/core/v3/grpc_service_pb.ts';
import type { HttpServiceSchema } from '#proto/envoy/config/core/v3/http_service_pb.ts';
import { DatadogConfigSchema } from '#proto/envoy/config/trace/v3/datadog_pb.ts';
import type { Tracing_HttpSchema } from '#proto/envoy/config/trace/v3/http_tracer_pb.ts';
import { OpenTelemetryConfigSchema } from '#proto/envoy/config/trace/v3/opentelemetry_pb.ts';
import { SkyWalkingConfigSchema } from '#proto/envoy/config/trace/v3/skywalking_pb.ts';
import {
  ZipkinConfig_CollectorEndpointVersion as EndpointVersion,
  ZipkinConfig_TraceContextOption as TraceContext,
  ZipkinConfigSchema,
} from '#proto/envoy/config/trace/v3/zipkin_pb.ts';
import { DynatraceResourceDetectorConfigSchema } from '#proto/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/dynatrace_resource_detector_pb.ts';
import { EnvironmentResourceDetectorConfigSchema } from '#proto/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector_pb.ts';
import { StaticConfigResourceDetectorConfigSchema } from '#proto/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/static_config_resource_detector_pb.ts';
import { DynatraceSamplerConfigSchema } from '#proto/envoy/extensions/tracers/opentelemetry/samplers/v3/dynatrace_sampler_pb.ts';
import type { Tracing } from '#scope/tracing.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';
import type { InitOf } from '#xds/message-init.ts';
import { outboundClusterName } from '#xds/names.ts';

type TracerInit = InitOf<typeof Tracing_HttpSchema>;
type ExtensionInit = InitOf<typeof TypedExtensionConfigSchema>;
type WhoTraces = Pick<Tracing, 'serviceName' | 'proxy'>;

/** The tracer as a connection manager names it. */
export function buildTracer(tracer: Tracer, who: WhoTraces): TracerInit {
  switch (tracer.kind) {
    case 'zipkin':
      return named('envoy.tracers.zipkin', ZipkinConfigSchema, zipkinConfig(tracer));
    case 'datadog': {
      const { collector } = tracer;
      const config = create(DatadogConfigSchema, {
        collectorCluster: clusterOf(collector),
        collectorHostname: collector.hostname,
        serviceName: who.serviceName,
      });
      return named('envoy.tracers.datadog', DatadogConfigSchema, config);
    }
    case 'skywalking': {
      const config = create(SkyWalkingConfigSchema, { grpcService: grpcService(tracer.collector) });
      return named('envoy.tracers.skywalking', SkyWalkingConfigSchema, config);
    }
    case 'opentelemetry':
      return named(
        'envoy.tracers.opentelemetry',
        OpenTelemetryConfigSchema,
        openTelemetryConfig(tracer, who),
      );
  }
}

/** The services that a tracer calls. */
export function collectorsOf(tracer: Tracer): readonly Collector[] {
  if (tracer.kind !== 'opentelemetry') return [tracer.collector];
  const { exporter, sampler } = tracer;
  return sampler === undefined ? [exporter.collector] : [exporter.collector, sampler.service];
}

function named<D extends DescMessage>(name: string, schema: D, message: MessageShape<D>): TracerInit {
  return { name, configType: { case: 'typedConfig', value: packAny(schema, message) } };
}

/** Spans in Zipkin's second format; client and server have one each. */
function zipkinConfig({
  collector,
  traceId128Bit,
  alsoW3c,
}: ZipkinTracer): MessageShape<typeof ZipkinConfigSchema> {
  return create(ZipkinConfigSchema, {
    collectorEndpointVersion: EndpointVersion.HTTP_JSON,
    traceId128bit: traceId128Bit,
    sharedSpanContext: false,
    traceContextOption: alsoW3c ? TraceContext.USE_B3_WITH_W3C_PROPAGATION : TraceContext.USE_B3,
    collectorService: httpService(collector, `http://${collector.hostname}${collector.path}`),
  });
}

function openTelemetryConfig(
  { exporter, detectors, namesByConvention, sampler }: OpenTelemetryTracer,
  { serviceName, proxy }: WhoTraces,
): MessageShape<typeof OpenTelemetryConfigSchema> {
  const isOurs = proxy === 'environment';
  const { collector } = exporter;
  return create(OpenTelemetryConfigSchema, {
    serviceName,
    ...(exporter.by === 'http'
      ? { httpService: httpService(exporter.collector, joinUri(collector.hostname, exporter.collector.path)) }
      : {
          grpcService: {
            ...grpcService(collector),
            ...(exporter.timeoutMs === 0 ? {} : { timeout: durationFromMs(exporter.timeoutMs) }),
            initialMetadata: exporter.headers.map(([key, value]) => ({ key, value })),
          },
        }),
    resourceDetectors: [
      ...detectors.map(detector),
      // The agent's word on the name stands in the environment of its Envoy.
      ...(isOurs && serviceName === '' && !detectors.includes('environment')
        ? [detector('environment')]
        : []),
      ...(isOurs && namesByConvention ? [staticName(serviceName)] : []),
    ],
    ...(sampler === undefined ? {} : { sampler: dynatraceSampler(sampler) }),
  });
}

function detector(kind: 'environment' | 'dynatrace'): ExtensionInit {
  const name = `envoy.tracers.opentelemetry.resource_detectors.${kind}`;
  const schema =
    kind === 'environment' ? EnvironmentResourceDetectorConfigSchema : DynatraceResourceDetectorConfigSchema;
  return { name, typedConfig: packAny<DescMessage>(schema, create<DescMessage>(schema)) };
}

/** The conventions' name instead of what the agent says, which is by the proxy's cluster. */
function staticName(serviceName: string): ExtensionInit {
  const config = create(StaticConfigResourceDetectorConfigSchema, {
    attributes: { 'service.name': serviceName },
  });
  return {
    name: 'envoy.tracers.opentelemetry.resource_detectors.static_config',
    typedConfig: packAny(StaticConfigResourceDetectorConfigSchema, config),
  };
}

function dynatraceSampler({
  tenant,
  clusterId,
  rootSpansPerMinute,
  service,
}: DynatraceSampler): ExtensionInit {
  const config = create(DynatraceSamplerConfigSchema, {
    tenant,
    clusterId,
    rootSpansPerMinute,
    httpService: httpService(service, joinUri(service.hostname, service.path)),
  });
  return {
    name: 'envoy.tracers.opentelemetry.samplers.dynatrace',
    typedConfig: packAny(DynatraceSamplerConfigSchema, config),
  };
}

function httpService(
  { hostname, port, timeoutMs, headers }: HttpCollector,
  uri: string,
): InitOf<typeof HttpServiceSchema> {
  return {
    httpUri: {
      uri,
      httpUpstreamType: { case: 'cluster', value: clusterOf({ hostname, port }) },
      timeout: durationFromMs(timeoutMs),
    },
    requestHeadersToAdd: headers.map(headerOption),
  };
}

function headerOption([key, value]: TracerHeader) {
  return { appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD, header: { key, value } };
}

function grpcService(collector: Collector): InitOf<typeof GrpcServiceSchema> {
  const value = { clusterName: clusterOf(collector), authority: collector.hostname };
  return { targetSpecifier: { case: 'envoyGrpc', value } };
}

function clusterOf({ hostname, port }: Collector): string {
  return outboundClusterName(port, '', hostname);
}

/** Host and path as Go's url.JoinPath puts them together: one slash between, no dot segments, a last slash stays. */
function joinUri(hostname: string, path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const joined = [hostname, ...kept].join('/');
  return path.endsWith('/') ? `${joined}/` : joined;
}
