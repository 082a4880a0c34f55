/**
 * The stats part of the bootstrap: which of Envoy's own statistics exist at all (each costs memory in every sidecar), how
 * their names split into labels, and which buckets Istio's histograms have. Names are Istio's; the patterns are Envoy
 * regular expressions and go there as they stand.
 */
import type { JsonObject, JsonValue } from './json-value.ts';

/** What a user may add to the default statistics. */
export interface StatsSettings {
  readonly inclusionPrefixes: readonly string[];
  readonly inclusionSuffixes: readonly string[];
  readonly inclusionRegexps: readonly string[];
  readonly extraStatTags: readonly string[];
  /** Connections of clients are counted, so that the end of the proxy can wait for the last. */
  readonly countsConnections: boolean;
  /** Buckets by prefix of the metric's name (Istio's `istiocustom` means ours); added before the defaults, so that a user's win. */
  readonly histogramBuckets: ReadonlyMap<string, readonly number[]>;
  readonly flushIntervalMs: number;
  /** How often series that nobody touched since are dropped (metric rotation). */
  readonly evictionIntervalMs: number;
}

/** The defaults: nothing added, Envoy's flush interval; series that nobody touched for an hour go, so memory is bounded. */
export const defaultStats: StatsSettings = {
  inclusionPrefixes: [],
  inclusionSuffixes: [],
  inclusionRegexps: [],
  extraStatTags: [],
  countsConnections: false,
  histogramBuckets: new Map(),
  flushIntervalMs: 5000,
  evictionIntervalMs: 3_600_000,
};

/** The scope under which our stats loggers write; the status server takes it off again (metric-renaming.ts). */
export const istioStatsScope = 'wasmcustom';

const requiredPrefixes = ['cluster_manager', 'listener_manager', 'server', 'cluster.xds-grpc', 'wasm'];
const requiredSuffixes = ['rbac.allowed', 'rbac.denied', 'shadow_allowed', 'shadow_denied'];
const requiredRegexps = ['vhost\\.*\\.route\\.*'];
const lastPrefixes = ['reporter=', 'component', 'istio', `${istioStatsScope}.`];

/**
 * A subset of the bounds that Istio's histograms have (Envoy's nineteen defaults), so that dashboards and recorded series stay
 * comparable while a scrape is half as large: 3,000 label sets print 139 MB with the defaults.
 */
const durationBuckets = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000];
const sizeBuckets = [100, 500, 1000, 5000, 10000, 60000, 300000, 1800000, 3600000];

const tags: readonly (readonly [name: string, regex: string])[] = [
  ['cluster_name', '^cluster\\.((.+?(\\..+?\\.svc\\.cluster\\.local)?)\\.)'],
  ['tcp_prefix', '^tcp\\.((.*?)\\.)\\w+?$'],
  ['response_code', '_rq(_(\\d{3}))$'],
  ['response_code_class', '_rq(_(\\dxx))$'],
  [
    'http_conn_manager_listener_prefix',
    '^listener(?=\\.).*?\\.http\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)',
  ],
  ['http_conn_manager_prefix', '^http\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)'],
  ['listener_address', '^listener\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)'],
  ['mongo_prefix', '^mongo\\.(.+?)\\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$'],
];

const lastTags: readonly (readonly [name: string, regex: string])[] = [
  ['cache', '(cache\\.(.+?)\\.)'],
  ['component', '(component\\.(.+?)\\.)'],
  ['tag', '(tag\\.(.+?);\\.)'],
  ['wasm_filter', '(wasm_filter\\.(.+?)\\.)'],
  ['authz_enforce_result', 'rbac(\\.(allowed|denied))'],
  ['authz_dry_run_action', '(\\.istio_dry_run_(allow|deny)_)'],
  ['authz_dry_run_result', '(\\.shadow_(allowed|denied))'],
];

/** Builds `stats_config`. Source: Istio pkg/bootstrap/config.go (required inclusions), envoy_bootstrap.json (tags). */
export function buildStatsConfig(settings: StatsSettings): JsonObject {
  const extraTags = settings.extraStatTags.map((tag) => [tag, `(${tag}=\\.=(.*?);\\.;)`] as const);
  return {
    use_all_default_tags: false,
    stats_tags: [...tags, ...extraTags, ...lastTags].map(([tag_name, regex]) => ({ tag_name, regex })),
    stats_matcher: { inclusion_list: { patterns: buildInclusions(settings) } },
    histogram_bucket_settings: buildBuckets(settings),
  };
}

function buildInclusions(settings: StatsSettings): readonly JsonValue[] {
  const prefixes = [...settings.inclusionPrefixes, ...requiredPrefixes];
  const counts = settings.countsConnections ? ['downstream_cx_active'] : [];
  const suffixes = [...settings.inclusionSuffixes, ...requiredSuffixes, ...counts];
  const regexps = [...settings.inclusionRegexps, ...requiredRegexps];
  return [
    ...prefixes.map((prefix) => ({ prefix })),
    ...suffixes.map((suffix) => ({ suffix })),
    ...regexps.map((regex) => ({ safe_regex: { regex } })),
    ...lastPrefixes.map((prefix) => ({ prefix })),
  ];
}

function buildBuckets(settings: StatsSettings): readonly JsonValue[] {
  const user = [...settings.histogramBuckets].map(([prefix, buckets]) => ({
    match: { prefix: prefix.replace(/^istiocustom/, istioStatsScope) },
    buckets: [...buckets],
  }));
  return [
    ...user,
    { match: { prefix: `${istioStatsScope}.istio_request_duration_milliseconds` }, buckets: durationBuckets },
    { match: { prefix: `${istioStatsScope}.istio_re` }, buckets: sizeBuckets },
  ];
}
