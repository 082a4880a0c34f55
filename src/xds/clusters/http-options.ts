/**
 * HTTP protocol options of an outbound cluster: which version it speaks, idle timeouts, limits per connection.
 * Source: Istio pilot/pkg/networking/core/cluster_builder.go setUpstreamProtocol, cluster_traffic_policy.go.
 */
import { create } from '@bufbuild/protobuf';
import type { ConnectionPoolSettings } from '#api/destination-rule.ts';
import { isHttp, isHttp2 } from '#model/service-protocol.ts';
import type { Http1ProtocolOptionsSchema } from '#proto/envoy/config/core/v3/protocol_pb.ts';
import { PreserveCaseFormatterConfigSchema } from '#proto/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.ts';
import {
  type HttpProtocolOptions,
  HttpProtocolOptionsSchema,
} from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { packAny } from '#xds/encode.ts';
import { parseDuration } from '#xds/routes/duration.ts';
import type { ClusterInput } from './cluster-input.ts';
import type { InitOf } from '#xds/message-init.ts';

/** What of a cluster decides; inbound clusters have it too. */
export type HttpOptionsInput = Pick<
  ClusterInput,
  'policy' | 'protocol' | 'followsDownstreamProtocol' | 'facts' | 'tls' | 'discovery' | 'preservesHeaderCase'
>;

type OptionsInit = InitOf<typeof HttpProtocolOptionsSchema>;
type Http1Init = InitOf<typeof Http1ProtocolOptionsSchema>;

/** The key of these options in a cluster. */
export const HTTP_PROTOCOL_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Which HTTP version a cluster speaks: one that is fixed, or that of the request it carries. */
export type HttpVersion = 'none' | 'http1' | 'http2' | 'downstream';

/** Decides. 'none' leaves it to Envoy, which then speaks HTTP/1.1. */
export function httpVersion(input: HttpOptionsInput): HttpVersion {
  const http = input.policy.connectionPool?.http;
  if (http?.useClientProtocol === true) return 'downstream';
  if (isHttp2(input.protocol)) return 'http2';
  if (input.protocol === 'Unsupported' && input.followsDownstreamProtocol) return 'downstream';
  // Who wants the case of names kept wants HTTP/1, whatever upgrade policies say.
  if (keepsHeaderCase(input)) return 'http1';
  return isUpgraded(input, http?.h2UpgradePolicy) ? 'http2' : 'none';
}

/** A rule may upgrade any port; the mesh's default upgrades only ports that are known to carry HTTP. */
function isUpgraded(input: HttpOptionsInput, policy: string | undefined): boolean {
  if (policy === 'UPGRADE') return true;
  if (policy === 'DO_NOT_UPGRADE') return false;
  return input.facts.upgradesToHttp2 && isHttp(input.protocol);
}

function keepsHeaderCase(input: HttpOptionsInput): boolean {
  const mayBeHttp1 = input.protocol === 'Unsupported' || (isHttp(input.protocol) && !isHttp2(input.protocol));
  return mayBeHttp1 && input.preservesHeaderCase;
}

/** The options; undefined when Envoy's defaults do. */
export function buildHttpOptions(input: HttpOptionsInput): HttpProtocolOptions | undefined {
  const version = httpVersion(input);
  const common = commonOptions(input.policy.connectionPool);
  const upstream = certificateOptions(input);
  const outliers = outlierOptions(input.policy.outlierDetection?.outlierDetectionHttpErrorCodes ?? []);
  if (version === 'none' && common === undefined && upstream === undefined && outliers === undefined) {
    return undefined;
  }
  return create(HttpProtocolOptionsSchema, {
    ...(common === undefined ? {} : { commonHttpProtocolOptions: common }),
    ...(upstream === undefined ? {} : { upstreamHttpProtocolOptions: upstream }),
    ...(outliers === undefined ? {} : { outlierDetection: outliers }),
    upstreamProtocolOptions: versionOptions(version, input),
  });
}

function versionOptions(
  version: HttpVersion,
  input: HttpOptionsInput,
): NonNullable<OptionsInit['upstreamProtocolOptions']> {
  const http1 = keepsHeaderCase(input) ? preserveCase() : {};
  const http2 = http2Options(input.policy.connectionPool?.http);
  switch (version) {
    case 'http2':
      return {
        case: 'explicitHttpConfig',
        value: { protocolConfig: { case: 'http2ProtocolOptions', value: http2 } },
      };
    case 'downstream':
      return {
        case: 'useDownstreamProtocolConfig',
        value: { httpProtocolOptions: http1, http2ProtocolOptions: {} },
      };
    default:
      return {
        case: 'explicitHttpConfig',
        value: { protocolConfig: { case: 'httpProtocolOptions', value: http1 } },
      };
  }
}

function http2Options(http: ConnectionPoolSettings['http']): {
  maxConcurrentStreams?: number;
  connectionKeepalive?: {
    interval?: ReturnType<typeof parseDuration>;
    timeout?: ReturnType<typeof parseDuration>;
  };
} {
  const keepAlive = http?.http2KeepAlive;
  return {
    ...(http?.maxConcurrentStreams ? { maxConcurrentStreams: http.maxConcurrentStreams } : {}),
    ...(keepAlive === undefined
      ? {}
      : {
          connectionKeepalive: {
            ...(keepAlive.interval === undefined ? {} : { interval: parseDuration(keepAlive.interval) }),
            ...(keepAlive.timeout === undefined ? {} : { timeout: parseDuration(keepAlive.timeout) }),
          },
        }),
  };
}

/** HTTP/1 options under which header names keep their case. */
export function preserveCase(): Http1Init {
  return {
    headerKeyFormat: {
      headerFormat: {
        case: 'statefulFormatter',
        value: {
          name: 'preserve_case',
          typedConfig: packAny(PreserveCaseFormatterConfigSchema, create(PreserveCaseFormatterConfigSchema)),
        },
      },
    },
  };
}

/** Present as soon as one of its settings is, also those that concern HTTP/2 alone: as Istio has it. */
function commonOptions(pool: ConnectionPoolSettings | undefined): OptionsInit['commonHttpProtocolOptions'] {
  const http = pool?.http;
  const idleTimeout = http?.idleTimeout ?? pool?.tcp?.idleTimeout;
  const maxConnectionDuration = pool?.tcp?.maxConnectionDuration;
  const maxRequestsPerConnection = http?.maxRequestsPerConnection;
  const isSet =
    idleTimeout !== undefined ||
    maxConnectionDuration !== undefined ||
    Boolean(maxRequestsPerConnection) ||
    Boolean(http?.maxConcurrentStreams) ||
    http?.http2KeepAlive !== undefined;
  if (!isSet) return undefined;
  return {
    ...(idleTimeout === undefined ? {} : { idleTimeout: parseDuration(idleTimeout) }),
    ...(maxConnectionDuration === undefined
      ? {}
      : { maxConnectionDuration: parseDuration(maxConnectionDuration) }),
    ...(maxRequestsPerConnection ? { maxRequestsPerConnection } : {}),
  };
}

/** What TLS takes from the request instead of from the configuration. */
export interface RequestNames {
  /** The server name. */
  readonly autoSni: boolean;
  /** The name that the certificate must have. */
  readonly autoSanValidation: boolean;
}

/**
 * TLS outside of the mesh: the server name and the name to verify follow the request unless the rule names them; so they do
 * inside where only the request knows the host. Undefined where neither does.
 * Source: Istio cluster_tls.go setAutoSniAndAutoSanValidation.
 */
export function requestNames({
  tls,
  discovery,
}: Pick<ClusterInput, 'tls' | 'discovery'>): RequestNames | undefined {
  const isDynamic = discovery === 'DYNAMIC';
  if (tls === undefined || (tls.kind === 'mesh' && !isDynamic)) return undefined;
  const { sni, names, skipsVerification } =
    tls.kind === 'mesh'
      ? { ...tls, names: tls.subjectAltNames }
      : {
          sni: tls.settings.sni,
          names: tls.settings.subjectAltNames ?? [],
          skipsVerification: tls.settings.insecureSkipVerify === true,
        };
  const autoSni = !sni;
  const isUnnamed = isDynamic || (autoSni && names.length === 0);
  return { autoSni, autoSanValidation: isUnnamed && !skipsVerification };
}

function certificateOptions(input: HttpOptionsInput): OptionsInit['upstreamHttpProtocolOptions'] {
  const names = requestNames(input);
  return names !== undefined && (names.autoSni || names.autoSanValidation) ? { ...names } : undefined;
}

/** Which answers count as failures of the endpoint, where 5xx is not what the user wants. */
function outlierOptions(codes: readonly number[]): OptionsInit['outlierDetection'] {
  const rules = codes.map((code) => ({
    rule: {
      case: 'httpResponseHeadersMatch' as const,
      value: {
        headers: [
          {
            name: ':status',
            headerMatchSpecifier: {
              case: 'stringMatch' as const,
              value: { matchPattern: { case: 'exact' as const, value: String(code) } },
            },
          },
        ],
      },
    },
  }));
  const [only] = rules;
  if (only === undefined) return undefined;
  return { errorMatcher: rules.length === 1 ? only : { rule: { case: 'orMatch', value: { rules } } } };
}
