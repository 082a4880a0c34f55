/** Retry policies of routes. Pure; the default is Istio's, not Envoy's (which would be none). */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { packAny } from '#xds/encode.ts';
import {
  type RetryPolicy,
  type RetryPolicy_RetryHostPredicateSchema,
  RetryPolicySchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { PreviousHostsPredicateSchema } from '#proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts';
import { PreviousPrioritiesConfigSchema } from '#proto/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts';
import type { HTTPRetryJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { parseDuration } from './duration.ts';

const DEFAULT_ATTEMPTS = 2;
const DEFAULT_RETRY_ON = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes';
const INBOUND_RETRY_ON = 'reset-before-request';
const HOST_SELECTION_ATTEMPTS = 5n;
/** After how many attempts the priority load is worked out anew. */
const PRIORITY_UPDATE_FREQUENCY = 2;
const RETRIABLE_STATUS_CODES = 'retriable-status-codes';

/**
 * Builds the policy; undefined when attempts are 0. With a consistent hash the same host is asked again.
 * Source: istio pilot/pkg/networking/core/route/retry ConvertPolicy.
 */
export function buildRetryPolicy(
  retries: HTTPRetryJson | undefined,
  consistentHash: boolean,
): RetryPolicy | undefined {
  if (retries !== undefined && (retries.attempts ?? 0) <= 0) return undefined;
  const ignorePrevious = retries?.retryIgnorePreviousHosts ?? !consistentHash;
  const { retryOn, statusCodes } = parseRetryOn(retries?.retryOn ?? '', DEFAULT_RETRY_ON);
  return create(RetryPolicySchema, {
    retryOn,
    numRetries: retries?.attempts ?? DEFAULT_ATTEMPTS,
    retryHostPredicate: ignorePrevious ? [previousHosts()] : [],
    hostSelectionRetryMaxAttempts: HOST_SELECTION_ATTEMPTS,
    retriableStatusCodes: statusCodes,
    ...(retries?.perTryTimeout === undefined ? {} : { perTryTimeout: parseDuration(retries.perTryTimeout) }),
    ...(retries?.retryRemoteLocalities === true ? { retryPriority: previousPriorities() } : {}),
    ...(retries?.backoff === undefined
      ? {}
      : { retryBackOff: { baseInterval: parseDuration(retries.backoff) } }),
  });
}

/**
 * The policy of an inbound route, which has one host to ask: by default only a request that the application never began is tried
 * again. Undefined when attempts are 0. Source: istio route/retry ConvertInboundPolicy.
 */
export function buildInboundRetryPolicy(retries: HTTPRetryJson | undefined): RetryPolicy | undefined {
  if (retries !== undefined && (retries.attempts ?? 0) <= 0) return undefined;
  const { retryOn, statusCodes } = parseRetryOn(retries?.retryOn ?? '', INBOUND_RETRY_ON);
  return create(RetryPolicySchema, {
    retryOn,
    numRetries: retries?.attempts ?? DEFAULT_ATTEMPTS,
    retriableStatusCodes: statusCodes,
    ...(retries?.backoff === undefined
      ? {}
      : { retryBackOff: { baseInterval: parseDuration(retries.backoff) } }),
  });
}

function previousHosts(): MessageInitShape<typeof RetryPolicy_RetryHostPredicateSchema> {
  return {
    name: 'envoy.retry_host_predicates.previous_hosts',
    configType: {
      case: 'typedConfig',
      value: packAny(PreviousHostsPredicateSchema, create(PreviousHostsPredicateSchema)),
    },
  };
}

function previousPriorities(): NonNullable<MessageInitShape<typeof RetryPolicySchema>['retryPriority']> {
  const config = create(PreviousPrioritiesConfigSchema, { updateFrequency: PRIORITY_UPDATE_FREQUENCY });
  return {
    name: 'envoy.retry_priorities.previous_priorities',
    configType: { case: 'typedConfig', value: packAny(PreviousPrioritiesConfigSchema, config) },
  };
}

/** Splits a retryOn list: numbers that are HTTP status codes go to Envoy's list of codes, the rest are conditions. */
function parseRetryOn(text: string, fallback: string): { retryOn: string; statusCodes: number[] } {
  if (text === '') return { retryOn: fallback, statusCodes: [] };
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const isCode = (part: string): boolean => /^\d{3}$/.test(part) && isKnownStatus(Number(part));
  const conditions = parts.filter((part) => !isCode(part));
  const statusCodes = parts.filter(isCode).map(Number);
  const named = conditions.join(',');
  const isImplied = statusCodes.length > 0 && !named.includes(RETRIABLE_STATUS_CODES);
  // With codes alone the list begins with a comma, as Istio's does; Envoy passes over it.
  return { retryOn: isImplied ? `${named},${RETRIABLE_STATUS_CODES}` : named, statusCodes };
}

/** Status codes that have a name (RFC 9110 and the IANA registry), as Go's net/http knows them. */
function isKnownStatus(code: number): boolean {
  if (code >= 100 && code <= 103) return true;
  if (code >= 200 && code <= 208) return true;
  if (code === 226 || code === 418 || code === 451 || code === 510 || code === 511) return true;
  if (code >= 300 && code <= 308) return code !== 306;
  if (code >= 400 && code <= 417) return true;
  if (code >= 421 && code <= 431) return code !== 427 && code !== 430;
  return code >= 500 && code <= 508;
}
