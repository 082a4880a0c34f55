/**
 * Rules for the proxies' connectionSettings: limits, timeouts and windows of connections.
 * Source: istio pkg/config/validation/agent/validation.go validateConnectionSettings.
 */
import { parseDurationNanos } from './duration.ts';
import type { Findings } from './findings.ts';
import type { MeshProxyConfigPart } from './mesh-config.ts';

type ConnectionSettings = NonNullable<MeshProxyConfigPart['connectionSettings']>;

const MAX_INT32 = 2_147_483_647;
/** Smallest value that the field may have. */
const MINIMUM = {
  listenerPerConnectionBufferLimitBytes: 0,
  clusterPerConnectionBufferLimitBytes: 0,
  httpMaxConcurrentStreams: 1,
  http2InitialStreamWindowSize: 65_535,
  http2InitialConnectionWindowSize: 65_535,
  listenerConnectionLimit: 1,
  globalDownstreamConnectionLimit: 1,
} as const satisfies Partial<Record<keyof ConnectionSettings, number>>;
const DURATIONS = [
  'httpIdleTimeout',
  'httpMaxConnectionDuration',
  'httpDrainTimeout',
  'httpRequestTimeout',
  'httpRequestHeadersTimeout',
  'httpStreamIdleTimeout',
  'httpMaxStreamDuration',
] as const satisfies readonly (keyof ConnectionSettings)[];

/** Checks connectionSettings; 0 turns a timeout off and is allowed. */
export function checkConnectionSettings(
  settings: ConnectionSettings | undefined,
  path: string,
  findings: Findings,
): void {
  if (settings === undefined) return;
  for (const field of Object.keys(MINIMUM) as (keyof typeof MINIMUM)[]) {
    const value = settings[field];
    if (value === undefined || Number(value) >= MINIMUM[field]) continue;
    const range = { min: String(MINIMUM[field]), max: String(MAX_INT32) };
    findings.add('LTN2032', `${path}.${field}`, { value: String(value), ...range });
  }
  for (const field of DURATIONS) {
    const value = settings[field];
    if ((parseDurationNanos(value ?? '0s') ?? 0n) < 0n)
      findings.add('LTN2033', `${path}.${field}`, { value: String(value) });
  }
}
