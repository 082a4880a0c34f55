/**
 * Resources as goldens show them: keys sorted, and what is the same in all of them as one word. A form is condensed
 * only where it is exactly that form; the filters of telemetry have goldens of their own beside their code.
 */
import { isDeepStrictEqual } from 'node:util';
import type { JsonValue } from '@bufbuild/protobuf';

const ADS = { ads: {}, initialFetchTimeout: '0s', resourceApiVersion: 'V3' };
const SDS = {
  apiConfigSource: {
    apiType: 'GRPC',
    grpcServices: [{ envoyGrpc: { clusterName: 'sds-grpc' } }],
    setNodeOnFirstMessageOnly: true,
    transportApiVersion: 'V3',
  },
  initialFetchTimeout: '0s',
  resourceApiVersion: 'V3',
};
const MAX = 4294967295;
const UNLIMITED = { maxConnections: MAX, maxPendingRequests: MAX, maxRequests: MAX, maxRetries: MAX };

const FORMS: readonly (readonly [JsonValue, string])[] = [
  [ADS, '(ads)'],
  [SDS, '(sds-grpc)'],
  [UNLIMITED, '(unlimited)'],
];
const TYPE_PREFIX = 'type.googleapis.com/';

/** The condensed form of a value. */
export function condensed(value: JsonValue): JsonValue {
  if (typeof value === 'string' && value.startsWith(TYPE_PREFIX)) return value.slice(TYPE_PREFIX.length);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(condensed);
  const form = FORMS.find(([one]) => isDeepStrictEqual(one, value));
  if (form !== undefined) return form[1];
  const { name } = value;
  if (typeof name === 'string' && isTelemetry(name) && 'typedConfig' in value) return `(${name})`;
  const fields = Object.keys(value).sort();
  return Object.fromEntries(fields.map((field) => [field, condensed(value[field] as JsonValue)]));
}

/** Filters and loggers that only count, or only carry the labels of peers. */
function isTelemetry(name: string): boolean {
  return (
    name === 'envoy.access_loggers.stats' ||
    name === 'envoy.filters.http.grpc_stats' ||
    name.startsWith('lateen.')
  );
}
