/**
 * Tracers: the extension providers of mesh config that spans may be sent to, each resolved to the service that takes them. A provider
 * that cannot be used says why; proxies that would use it do not trace.
 * Costs a read of one bucket of services per provider, again only when mesh config or those services change.
 * Source: istio pilot/pkg/networking/core/tracing.go configureFromProviderConfig, pilot/pkg/model/telemetry.go fetchProvider.
 */
import { durationMs } from '#api/duration.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type {
  MeshConfig_ExtensionProvider_HttpHeaderJson as HeaderJson,
  MeshConfig_ExtensionProvider_HttpServiceJson as HttpServiceJson,
  MeshConfig_ExtensionProvider_OpenTelemetryTracingProviderJson as OpenTelemetryJson,
  MeshConfig_ExtensionProvider_ZipkinTracingProviderJson as ZipkinJson,
  MeshConfig_ExtensionProviderJson as Provider,
  MeshConfigJson,
} from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { providerService } from './provider-service.ts';
import type { Service } from './service.ts';

/** Name and value, in the order of the config. */
export type TracerHeader = readonly [name: string, value: string];

/** Who takes the spans: a service of the mesh. */
export interface Collector {
  readonly hostname: string;
  readonly port: number;
}

/** A collector that is spoken to by HTTP. */
export interface HttpCollector extends Collector {
  readonly path: string;
  readonly timeoutMs: number;
  readonly headers: readonly TracerHeader[];
}

interface TracerLimits {
  /** Longest value of a tag that holds a path; 0: the proxy's own limit. */
  readonly maxTagLength: number;
}

export interface ZipkinTracer extends TracerLimits {
  readonly kind: 'zipkin';
  readonly collector: HttpCollector;
  readonly traceId128Bit: boolean;
  /** Traces are also told by W3C's headers. */
  readonly alsoW3c: boolean;
}

export interface DatadogTracer extends TracerLimits {
  readonly kind: 'datadog';
  readonly collector: Collector;
}

export interface SkyWalkingTracer extends TracerLimits {
  readonly kind: 'skywalking';
  readonly collector: Collector;
}

export interface OpenTelemetryTracer extends TracerLimits {
  readonly kind: 'opentelemetry';
  readonly exporter:
    | { readonly by: 'http'; readonly collector: HttpCollector }
    | {
        readonly by: 'grpc';
        readonly collector: Collector;
        /** 0: none. */
        readonly timeoutMs: number;
        readonly headers: readonly TracerHeader[];
      };
  readonly detectors: readonly ('environment' | 'dynatrace')[];
  /** The service is named by OpenTelemetry's conventions for Kubernetes instead of by the proxy's cluster. */
  readonly namesByConvention: boolean;
  /** It decides instead of the sampling percentage. */
  readonly sampler?: DynatraceSampler;
}

export interface DynatraceSampler {
  readonly tenant: string;
  readonly clusterId: number;
  readonly rootSpansPerMinute: number;
  /** Where its own configuration comes from. */
  readonly service: HttpCollector;
}

export type Tracer = ZipkinTracer | DatadogTracer | SkyWalkingTracer | OpenTelemetryTracer;

/** A provider by its name: the tracer, or in words why there is none. */
export type TracerResolution = { readonly tracer: Tracer } | { readonly fault: string };

export interface TracerDeps {
  readonly meshConfig: Collection<MeshConfigJson>;
  readonly servicesByHostname: Index<Service>;
  /** The control plane's own variables: headers may take their values from there. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Where OTLP over HTTP has no timeout; Envoy wants one. Source: the API's text on HttpService.timeout. */
const EXPORT_TIMEOUT_MS = 3_000;
const ZIPKIN_TIMEOUT_MS = 5_000;
/** Names that Envoy takes. Source: validate rule HTTP_HEADER_NAME. */
export const HEADER_NAME: RegExp = /^:?[0-9A-Za-z!#$%&'*+\-.^_|~`]+$/;

/** Key of a provider: names are the same in upper and lower case. */
export function tracerKey(name: string): string {
  return name.toLowerCase();
}

/** Derives all providers of the mesh, by `tracerKey`; those that are no tracers say so. */
export function createTracers(engine: Engine, deps: TracerDeps): Collection<TracerResolution> {
  return engine.deriveMany('model.tracers', deps.meshConfig, (fetch, config) => {
    const resolved = new Map<string, TracerResolution>();
    const resolver = new Resolver(fetch, deps);
    for (const provider of config.extensionProviders ?? []) {
      const key = tracerKey(provider.name ?? '');
      if (!resolved.has(key)) resolved.set(key, resolver.resolve(provider));
    }
    return resolved;
  });
}

class Resolver {
  readonly #fetch: Fetch;
  readonly #deps: TracerDeps;
  #fault = '';

  constructor(fetch: Fetch, deps: TracerDeps) {
    this.#fetch = fetch;
    this.#deps = deps;
  }

  resolve(provider: Provider): TracerResolution {
    this.#fault = '';
    const tracer = this.#tracer(provider);
    if (tracer === undefined) return { fault: 'providers of its kind take no spans' };
    return this.#fault === '' ? { tracer } : { fault: this.#fault };
  }

  #tracer({ zipkin, datadog, skywalking, opentelemetry }: Provider): Tracer | undefined {
    if (zipkin !== undefined) return this.#zipkin(zipkin);
    if (opentelemetry !== undefined) return this.#openTelemetry(opentelemetry);
    if (datadog !== undefined) {
      return {
        kind: 'datadog',
        collector: this.#collector(datadog),
        maxTagLength: datadog.maxTagLength ?? 0,
      };
    }
    if (skywalking === undefined) return undefined;
    return { kind: 'skywalking', collector: this.#collector(skywalking), maxTagLength: 0 };
  }

  #zipkin(zipkin: ZipkinJson): ZipkinTracer {
    return {
      kind: 'zipkin',
      collector: {
        ...this.#collector(zipkin),
        path: zipkin.path || '/api/v2/spans',
        timeoutMs: durationMs(zipkin.timeout, ZIPKIN_TIMEOUT_MS),
        headers: this.#headers(zipkin.headers),
      },
      traceId128Bit: zipkin.enable64bitTraceId !== true,
      alsoW3c: zipkin.traceContextOption === 'USE_B3_WITH_W3C_PROPAGATION',
      maxTagLength: zipkin.maxTagLength ?? 0,
    };
  }

  #openTelemetry(settings: OpenTelemetryJson): OpenTelemetryTracer {
    const { http, grpc, resourceDetectors = {}, dynatraceSampler } = settings;
    const collector = this.#collector(settings);
    const namesByConvention = settings.serviceAttributeEnrichment === 'OTEL_SEMANTIC_CONVENTIONS';
    const hasDynatrace = resourceDetectors.dynatrace !== undefined;
    const hasEnvironment = resourceDetectors.environment !== undefined;
    const sampler = dynatraceSampler && this.#dynatraceSampler(dynatraceSampler, collector, http);
    return {
      kind: 'opentelemetry',
      exporter:
        http === undefined
          ? {
              by: 'grpc',
              collector,
              timeoutMs: durationMs(grpc?.timeout, 0),
              headers: this.#headers(grpc?.initialMetadata),
            }
          : { by: 'http', collector: this.#httpCollector(collector, http, http.path ?? '') },
      detectors: [
        ...(hasEnvironment ? (['environment'] as const) : []),
        ...(hasDynatrace ? (['dynatrace'] as const) : []),
        ...(namesByConvention && !hasEnvironment ? (['environment'] as const) : []),
      ],
      namesByConvention,
      maxTagLength: settings.maxTagLength ?? 0,
      ...(sampler === undefined ? {} : { sampler }),
    };
  }

  /** Without a service of its own it asks where the spans go, by the same HTTP. Source: istio configureDynatraceSampler. */
  #dynatraceSampler(
    settings: NonNullable<OpenTelemetryJson['dynatraceSampler']>,
    collector: Collector,
    http: HttpServiceJson | undefined,
  ): DynatraceSampler {
    const own = settings.httpService;
    if (own === undefined && http === undefined) {
      this.#fault ||= 'its sampler needs httpService where spans are not sent by http';
    }
    const service =
      own === undefined
        ? this.#httpCollector(collector, http ?? {}, 'api/v2/samplingConfiguration')
        : this.#httpCollector(this.#collector(own), own.http ?? {}, own.http?.path ?? '');
    const { tenant = '', clusterId = 0, rootSpansPerMinute = 0 } = settings;
    return { tenant, clusterId, rootSpansPerMinute, service };
  }

  #collector({ service = '', port = 0 }: { readonly service?: string; readonly port?: number }): Collector {
    const { hostname, fault = '' } = providerService(this.#fetch, this.#deps.servicesByHostname, service);
    this.#fault ||= fault;
    return { hostname, port };
  }

  #httpCollector(collector: Collector, http: HttpServiceJson, path: string): HttpCollector {
    const timeoutMs = durationMs(http.timeout, EXPORT_TIMEOUT_MS);
    return { ...collector, path, timeoutMs, headers: this.#headers(http.headers) };
  }

  /** Without those whose names are none: Envoy would refuse the listener. */
  #headers(headers: readonly HeaderJson[] = []): readonly TracerHeader[] {
    return headers
      .filter(({ name = '' }) => HEADER_NAME.test(name))
      .map(({ name = '', value, envName = '' }) => [name, value ?? this.#deps.environment[envName] ?? '']);
  }
}
