/**
 * The statistics that a workload asked for: annotations first, else the mesh's ProxyConfig (never both, as in Istio). Values that would
 * keep Envoy from starting are left out and named.
 * Source: Istio pkg/bootstrap/config.go getStatsOptions.
 */
import { parseDurationMs } from '#base/duration.ts';
import { defaultStats, type StatsSettings } from './bootstrap-stats.ts';
import type { ProxyConfig } from './proxy-config.ts';

/** Settings, and the annotations that were not used. */
export interface ParsedStats {
  readonly stats: StatsSettings;
  readonly problems: readonly string[];
}

const prefix = 'sidecar.istio.io/';
const tagPattern = /^[A-Za-z0-9_.-]{1,100}$/;
const maxBuckets = 100;

/** Reads the settings; `{pod_ip}` in an inclusion stands for each address of the workload. */
export function readStatsSettings(
  config: ProxyConfig,
  annotations: ReadonlyMap<string, string>,
  addresses: readonly string[],
): ParsedStats {
  const problems: string[] = [];
  function inclusions(name: string, fallback: readonly string[]): readonly string[] {
    const given = splitList(annotations.get(`${prefix}${name}`));
    const patterns = given.length > 0 ? given : fallback;
    return patterns.flatMap((pattern) =>
      pattern.includes('{pod_ip}')
        ? addresses.map((address) => pattern.replace('{pod_ip}', address))
        : [pattern],
    );
  }
  function interval(name: string, fallbackMs: number): number {
    const text = annotations.get(`${prefix}${name}`);
    const parsed = text === undefined ? undefined : parseDurationMs(text);
    if (parsed?.ok === true && parsed.value >= 1000) return Math.round(parsed.value);
    if (text !== undefined) problems.push(name);
    return fallbackMs;
  }
  const tags = [
    ...new Set([...config.extraStatTags, ...splitList(annotations.get(`${prefix}extraStatTags`))]),
  ];
  if (!tags.every((tag) => tagPattern.test(tag))) problems.push('extraStatTags');
  const buckets = readBuckets(annotations.get(`${prefix}statsHistogramBuckets`));
  if (buckets === undefined) problems.push('statsHistogramBuckets');
  const flushIntervalMs = interval('statsFlushInterval', defaultStats.flushIntervalMs);
  const evictionMs = interval('statsEvictionInterval', defaultStats.evictionIntervalMs);
  const stats = {
    inclusionPrefixes: inclusions('statsInclusionPrefixes', config.inclusionPrefixes),
    inclusionSuffixes: inclusions('statsInclusionSuffixes', config.inclusionSuffixes),
    inclusionRegexps: inclusions('statsInclusionRegexps', config.inclusionRegexps),
    extraStatTags: tags.filter((tag) => tagPattern.test(tag)),
    countsConnections: false,
    histogramBuckets: buckets ?? new Map(),
    flushIntervalMs,
    // Envoy refuses an eviction interval that is no multiple of the flush interval.
    evictionIntervalMs: Math.max(1, Math.round(evictionMs / flushIntervalMs)) * flushIntervalMs,
  };
  return { stats, problems };
}

function splitList(text: string | undefined): readonly string[] {
  return (text ?? '').split(',').filter((part) => part !== '');
}

/** Buckets by metric prefix; undefined when the text is not what Envoy would take (ascending, above zero). */
function readBuckets(text: string | undefined): ReadonlyMap<string, readonly number[]> | undefined {
  if (text === undefined) return new Map();
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const entries = Object.entries(value);
    return entries.every((entry): entry is [string, number[]] => isBuckets(entry[1]))
      ? new Map(entries)
      : undefined;
  } catch {
    return undefined;
  }
}

function isBuckets(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > maxBuckets) return false;
  return value.every(
    (bound, index) => typeof bound === 'number' && bound > (index === 0 ? 0 : value[index - 1]),
  );
}
