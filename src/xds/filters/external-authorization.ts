/**
 * The filters that ask an external authorizer, for HTTP and for connections. A filter of rules before them marks what the
 * CUSTOM policies select (shadow rules, which refuse nothing); only what is marked is asked about.
 * Source: istio pilot/pkg/security/authz/builder/extauthz.go; Envoy ext_authz v3.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { ExternalAuthorizer, HttpAuthorizerSettings } from '#model/external-authorizer.ts';
import type { GrpcServiceSchema } from '#proto/envoy/config/core/v3/grpc_service_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { HttpServiceSchema } from '#proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts';
import { ExtAuthzSchema as HttpExtAuthzSchema } from '#proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { ExtAuthzSchema as NetworkExtAuthzSchema } from '#proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.ts';
import { ApiVersion } from '#proto/envoy/config/core/v3/config_source_pb.ts';
import type { StatusCode } from '#proto/envoy/type/v3/http_status_pb.ts';
import type { MetadataMatcherSchema } from '#proto/envoy/type/matcher/v3/metadata_pb.ts';
import type { ListStringMatcherSchema, StringMatcherSchema } from '#proto/envoy/type/matcher/v3/string_pb.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';
import { outboundClusterName } from '#xds/names.ts';
import { httpFilter } from './http-connection-manager.ts';

/** Before the results of the marking rules in the metadata that they leave. */
export const CUSTOM_SHADOW_PREFIX = 'istio_ext_authz_';

/** How names of marking rules begin for one provider. */
export function customRulePrefix(provider: string): string {
  return provider === '' ? 'istio-ext-authz-' : `istio-ext-authz-${provider}-`;
}

/** The HTTP filter that asks. */
export function buildHttpExternalAuthorization(authorizer: ExternalAuthorizer): HttpFilter {
  const { http, requestBody, statusOnError, failOpen } = authorizer;
  const config = create(HttpExtAuthzSchema, {
    services:
      http === undefined
        ? { case: 'grpcService', value: grpcService(authorizer) }
        : { case: 'httpService', value: httpService(authorizer, http) },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: failOpen,
    filterEnabledMetadata: marked('envoy.filters.http.rbac', authorizer.name),
    ...(statusOnError === 0 ? {} : { statusOnError: { code: statusOnError as StatusCode } }),
    ...(requestBody === undefined ? {} : { withRequestBody: requestBody }),
    ...(http === undefined || http.requestHeaders.length === 0
      ? {}
      : { allowedHeaders: headerNames(http.requestHeaders) }),
  });
  return httpFilter('envoy.filters.http.ext_authz', packAny(HttpExtAuthzSchema, config));
}

/** The network filter that asks; undefined where the authorizer speaks HTTP, which knows nothing of connections. */
export function buildTcpExternalAuthorization(authorizer: ExternalAuthorizer): Filter | undefined {
  if (authorizer.http !== undefined) return undefined;
  const config = create(NetworkExtAuthzSchema, {
    statPrefix: 'tcp.',
    grpcService: grpcService(authorizer),
    failureModeAllow: authorizer.failOpen,
    transportApiVersion: ApiVersion.V3,
    filterEnabledMetadata: marked('envoy.filters.network.rbac', authorizer.name),
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.ext_authz',
    configType: { case: 'typedConfig', value: packAny(NetworkExtAuthzSchema, config) },
  });
}

/** Clusters that the filters of these authorizers call. */
export function authorizerClusters(authorizers: readonly ExternalAuthorizer[]): readonly string[] {
  return authorizers.map(clusterOf);
}

function clusterOf({ hostname, port }: ExternalAuthorizer): string {
  return outboundClusterName(port, '', hostname);
}

function grpcService(authorizer: ExternalAuthorizer): MessageInitShape<typeof GrpcServiceSchema> {
  return {
    targetSpecifier: {
      case: 'envoyGrpc',
      value: { clusterName: clusterOf(authorizer), authority: authorizer.hostname },
    },
    timeout: durationFromMs(authorizer.timeoutMs),
  };
}

function httpService(
  authorizer: ExternalAuthorizer,
  settings: HttpAuthorizerSettings,
): MessageInitShape<typeof HttpServiceSchema> {
  const { upstreamHeadersOnAllow, downstreamHeadersOnDeny, downstreamHeadersOnAllow } = settings;
  const answers = {
    ...(upstreamHeadersOnAllow.length === 0
      ? {}
      : { allowedUpstreamHeaders: headerNames(upstreamHeadersOnAllow) }),
    ...(downstreamHeadersOnDeny.length === 0
      ? {}
      : { allowedClientHeaders: headerNames(downstreamHeadersOnDeny) }),
    ...(downstreamHeadersOnAllow.length === 0
      ? {}
      : { allowedClientHeadersOnSuccess: headerNames(downstreamHeadersOnAllow) }),
  };
  return {
    // Envoy wants a URI and never uses it.
    serverUri: {
      uri: `http://${authorizer.hostname}`,
      httpUpstreamType: { case: 'cluster', value: clusterOf(authorizer) },
      timeout: durationFromMs(authorizer.timeoutMs),
    },
    pathPrefix: settings.pathPrefix,
    ...(settings.addedHeaders.length === 0
      ? {}
      : {
          authorizationRequest: {
            headersToAdd: settings.addedHeaders.map(([key, value]) => ({ key, value })),
          },
        }),
    ...(Object.keys(answers).length === 0 ? {} : { authorizationResponse: answers }),
  };
}

function headerNames(names: readonly string[]): MessageInitShape<typeof ListStringMatcherSchema> {
  return { patterns: names.map(headerName) };
}

function headerName(name: string): MessageInitShape<typeof StringMatcherSchema> {
  if (name.startsWith('*'))
    return { ignoreCase: true, matchPattern: { case: 'suffix', value: name.slice(1) } };
  if (name.endsWith('*'))
    return { ignoreCase: true, matchPattern: { case: 'prefix', value: name.slice(0, -1) } };
  return { ignoreCase: true, matchPattern: { case: 'exact', value: name } };
}

/** True for what a rule of this provider has marked. */
function marked(filter: string, provider: string): MessageInitShape<typeof MetadataMatcherSchema> {
  const key = `${CUSTOM_SHADOW_PREFIX}shadow_effective_policy_id`;
  return {
    filter,
    path: [{ segment: { case: 'key', value: key } }],
    value: {
      matchPattern: {
        case: 'stringMatch',
        value: { matchPattern: { case: 'prefix', value: `istio-ext-authz-${provider}` } },
      },
    },
  };
}
