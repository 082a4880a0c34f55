/**
 * External authorizers: the extension providers of mesh config that action CUSTOM may name, each resolved to the service that
 * answers. A provider that cannot be used says why; what names it is then denied (law 9).
 * Costs a read of one bucket of services per provider, again only when mesh config or those services change.
 * Source: istio pilot/pkg/security/authz/builder/extauthz.go, pilot/pkg/model/telemetry_logging.go LookupCluster.
 */
import { durationMs } from '#api/duration.ts';
import { sortedBy } from '#base/bytes-order.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type {
  MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationGrpcProviderJson as GrpcProvider,
  MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationHttpProviderJson as HttpProvider,
  MeshConfig_ExtensionProviderJson as Provider,
  MeshConfigJson,
} from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { StatusCode } from '#proto/envoy/type/v3/http_status_pb.ts';
import { providerService } from './provider-service.ts';
import type { Service } from './service.ts';

/** What an authorizer is told and may change over HTTP. Names may begin or end with `*`. */
export interface HttpAuthorizerSettings {
  /** Put before the path of the request; '' for none. */
  readonly pathPrefix: string;
  readonly requestHeaders: readonly string[];
  /** Sorted by name. */
  readonly addedHeaders: readonly (readonly [name: string, value: string])[];
  readonly upstreamHeadersOnAllow: readonly string[];
  readonly downstreamHeadersOnDeny: readonly string[];
  readonly downstreamHeadersOnAllow: readonly string[];
}

/** A provider that can be asked. */
export interface ExternalAuthorizer {
  readonly name: string;
  readonly hostname: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** Lets requests through while the authorizer does not answer. */
  readonly failOpen: boolean;
  /** Status of a request whose check failed; 0 for Envoy's 403. */
  readonly statusOnError: number;
  readonly requestBody?: {
    readonly maxRequestBytes: number;
    readonly allowPartialMessage: boolean;
    readonly packAsBytes: boolean;
  };
  /** Undefined: the authorizer speaks gRPC. */
  readonly http?: HttpAuthorizerSettings;
}

/** A provider by its name: the authorizer, or in words why it cannot be used. */
export type AuthorizerResolution = { readonly authorizer: ExternalAuthorizer } | { readonly fault: string };

/** Istio's limit where a provider sets none. */
const DEFAULT_TIMEOUT_MS = 600_000;
const STATUSES: ReadonlySet<number> = new Set(Object.values(StatusCode).filter((code) => code > 0));
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Derives the authorizers of the mesh, keyed by the provider's name. */
export function createExternalAuthorizers(
  engine: Engine,
  meshConfig: Collection<MeshConfigJson>,
  servicesByHostname: Index<Service>,
): Collection<AuthorizerResolution> {
  return engine.deriveMany('model.externalAuthorizers', meshConfig, (fetch, config) => {
    const resolved = new Map<string, AuthorizerResolution>();
    for (const provider of config.extensionProviders ?? []) {
      const settings = provider.envoyExtAuthzHttp ?? provider.envoyExtAuthzGrpc;
      const name = provider.name ?? '';
      if (settings === undefined || name === '') continue;
      const isDouble = resolved.has(name);
      resolved.set(name, isDouble ? { fault: 'its name is used twice' } : resolve(fetch, provider, settings));
    }
    return resolved;

    function resolve(
      from: Fetch,
      provider: Provider,
      settings: HttpProvider | GrpcProvider,
    ): AuthorizerResolution {
      const found = providerService(from, servicesByHostname, settings.service ?? '');
      const fault = found.fault ?? faultOf(provider, settings);
      return fault === '' ? { authorizer: authorizerOf(provider, settings, found.hostname) } : { fault };
    }
  });
}

/** Why the settings cannot be used; '' when they can. */
function faultOf(provider: Provider, settings: HttpProvider | GrpcProvider): string {
  const { name = '', envoyExtAuthzHttp: http } = provider;
  const { port = 0, statusOnError = '' } = settings;
  if (!NAME.test(name)) return 'its name is not made of lower-case letters, digits and inner hyphens';
  if (port < 1 || port > 65_535) return `port ${port} is not between 1 and 65535`;
  if (statusOnError !== '' && statusCode(statusOnError) === 0) {
    return `statusOnError ${statusOnError} is not a status that Envoy knows`;
  }
  if (http === undefined) return '';
  const { pathPrefix = '' } = http;
  if (pathPrefix !== '' && !pathPrefix.startsWith('/'))
    return `pathPrefix ${pathPrefix} does not begin with /`;
  const lists = [
    http.includeRequestHeadersInCheck,
    http.includeHeadersInCheck,
    http.headersToUpstreamOnAllow,
    http.headersToDownstreamOnDeny,
    http.headersToDownstreamOnAllow,
  ];
  return lists.some((list) => list?.includes('*') === true) ? 'a list of headers holds a lone *' : '';
}

/** 0 for what is no status of Envoy's. */
function statusCode(text: string): number {
  const code = /^\d{3}$/.test(text) ? Number(text) : 0;
  return STATUSES.has(code) ? code : 0;
}

function authorizerOf(
  provider: Provider,
  settings: HttpProvider | GrpcProvider,
  hostname: string,
): ExternalAuthorizer {
  const { envoyExtAuthzHttp: http } = provider;
  const { includeRequestBodyInCheck: body, timeout, port = 0, failOpen = false } = settings;
  return {
    name: provider.name ?? '',
    hostname,
    port,
    timeoutMs: durationMs(timeout, DEFAULT_TIMEOUT_MS),
    failOpen,
    statusOnError: statusCode(settings.statusOnError ?? ''),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            maxRequestBytes: body.maxRequestBytes ?? 0,
            allowPartialMessage: body.allowPartialMessage ?? false,
            packAsBytes: body.packAsBytes ?? false,
          },
        }),
    ...(http === undefined ? {} : { http: httpSettings(http) }),
  };
}

function httpSettings(http: HttpProvider): HttpAuthorizerSettings {
  const { includeRequestHeadersInCheck: included = [], includeHeadersInCheck: formerly = [] } = http;
  return {
    pathPrefix: http.pathPrefix ?? '',
    requestHeaders: included.length > 0 ? included : formerly,
    addedHeaders: sortedBy(Object.entries(http.includeAdditionalHeadersInCheck ?? {}), ([name]) => name),
    upstreamHeadersOnAllow: http.headersToUpstreamOnAllow ?? [],
    downstreamHeadersOnDeny: http.headersToDownstreamOnDeny ?? [],
    downstreamHeadersOnAllow: http.headersToDownstreamOnAllow ?? [],
  };
}
