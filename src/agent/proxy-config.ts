/**
 * The ProxyConfig that the agent was started with (env PROXY_CONFIG: the mesh's defaultConfig, the workload's overlay already
 * in it). Read leniently: a field of the wrong type keeps its default and is named in the problems, so that one bad
 * annotation does not keep a workload from starting. The whole JSON goes to the control plane as it came.
 * Source: Istio mesh/v1alpha1 ProxyConfig, defaults of 1.32-dev.
 */
import { parseDurationMs } from '#base/duration.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { JsonObject, JsonValue } from './json-value.ts';

/** The fields that the agent itself acts on. */
export interface ProxyConfig {
  readonly configPath: string;
  readonly binaryPath: string;
  /** A bootstrap that Envoy is started with instead of ours; '' as a rule. */
  readonly customConfigFile: string;
  readonly statsCompression: boolean;
  readonly serviceCluster: string;
  readonly tracingServiceName: string;
  readonly discoveryAddress: string;
  readonly proxyAdminPort: number;
  readonly statusPort: number;
  readonly controlPlaneAuthPolicy: string;
  readonly drainDurationMs: number;
  readonly terminationDrainDurationMs: number;
  /** Worker threads; 0 means one per core, undefined means not set. */
  readonly concurrency: number | undefined;
  readonly fileFlushIntervalMs: number;
  /** 0: Envoy's own. */
  readonly fileFlushMinSizeKib: number;
  readonly proxyMetadata: ReadonlyMap<string, string>;
  readonly runtimeValues: ReadonlyMap<string, string>;
  readonly extraStatTags: readonly string[];
  readonly inclusionPrefixes: readonly string[];
  readonly inclusionSuffixes: readonly string[];
  readonly inclusionRegexps: readonly string[];
  /** The object as given. */
  readonly raw: JsonObject;
}

/** A config and the fields that could not be used. */
export interface ParsedProxyConfig {
  readonly config: ProxyConfig;
  readonly problems: readonly string[];
}

const maxTextLength = 1024 * 1024;

/** Parses PROXY_CONFIG; '' gives the defaults. Errors: text that is not a JSON object. */
export function parseProxyConfig(text: string): Result<ParsedProxyConfig, string> {
  if (text.length > maxTextLength) return fail('PROXY_CONFIG is larger than 1 MiB');
  const raw = text.trim() === '' ? {} : parseObject(text);
  if (raw === undefined) return fail('PROXY_CONFIG is not a JSON object');
  const fields = new FieldReader(raw);
  const matcher = fields.object('proxyStatsMatcher');
  const config: ProxyConfig = {
    configPath: fields.text('configPath', './etc/istio/proxy'),
    binaryPath: fields.text('binaryPath', '/usr/local/bin/envoy'),
    customConfigFile: fields.text('customConfigFile', ''),
    statsCompression: raw['statsCompression'] !== false,
    serviceCluster: fields.text('serviceCluster', 'istio-proxy'),
    tracingServiceName: fields.text('tracingServiceName', 'APP_LABEL_AND_NAMESPACE'),
    discoveryAddress: fields.text('discoveryAddress', 'istiod.istio-system.svc:15012'),
    proxyAdminPort: fields.count('proxyAdminPort', 15000),
    statusPort: fields.count('statusPort', 15020),
    controlPlaneAuthPolicy: fields.text('controlPlaneAuthPolicy', 'MUTUAL_TLS'),
    drainDurationMs: fields.duration('drainDuration', 45_000),
    terminationDrainDurationMs: fields.duration('terminationDrainDuration', 5000),
    concurrency: raw['concurrency'] === undefined ? undefined : fields.count('concurrency', 2),
    fileFlushIntervalMs: fields.duration('fileFlushInterval', 1000),
    fileFlushMinSizeKib: fields.count('fileFlushMinSizeKb', 0),
    proxyMetadata: fields.texts('proxyMetadata'),
    runtimeValues: fields.texts('runtimeValues'),
    extraStatTags: fields.list('extraStatTags'),
    inclusionPrefixes: matcher.list('inclusionPrefixes'),
    inclusionSuffixes: matcher.list('inclusionSuffixes'),
    inclusionRegexps: matcher.list('inclusionRegexps'),
    raw,
  };
  return ok({ config, problems: fields.problems });
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Says whether a JSON value is an object. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Takes fields out of an object by type and notes those that do not fit. */
class FieldReader {
  readonly problems: string[];
  readonly #object: JsonObject;

  constructor(object: JsonObject, problems: string[] = []) {
    this.#object = object;
    this.problems = problems;
  }

  text(name: string, fallback: string): string {
    const value = this.#object[name];
    if (value === undefined || value === '') return fallback;
    return typeof value === 'string' ? value : this.#misfit(name, fallback);
  }

  count(name: string, fallback: number): number {
    const value = this.#object[name];
    if (value === undefined) return fallback;
    const fits = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65535;
    return fits ? value : this.#misfit(name, fallback);
  }

  duration(name: string, fallbackMs: number): number {
    const value = this.#object[name];
    if (value === undefined) return fallbackMs;
    const parsed = typeof value === 'string' ? parseDurationMs(value) : undefined;
    return parsed?.ok === true && parsed.value >= 0 ? parsed.value : this.#misfit(name, fallbackMs);
  }

  texts(name: string): ReadonlyMap<string, string> {
    const value = this.#object[name];
    if (value === undefined) return new Map();
    if (!isObject(value)) return this.#misfit(name, new Map());
    return new Map(Object.entries(value).map(([key, entry]) => [key, String(entry)]));
  }

  list(name: string): readonly string[] {
    const value = this.#object[name];
    if (value === undefined) return [];
    if (!Array.isArray(value)) return this.#misfit(name, []);
    return value.map(String);
  }

  object(name: string): FieldReader {
    const value = this.#object[name];
    return new FieldReader(isObject(value) ? value : {}, this.problems);
  }

  #misfit<T>(name: string, fallback: T): T {
    this.problems.push(name);
    return fallback;
  }
}
