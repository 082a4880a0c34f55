/**
 * How the agent checks the application, from the field readinessProbe of its ProxyConfig (a WorkloadGroup's probe, as `istioctl x
 * workload entry configure` writes it down). Source: Istio networking/v1alpha3 ReadinessProbe, pkg/istio-agent/health fillInDefaults.
 */
import { isIPv6 } from 'node:net';
import type { JsonObject, JsonValue } from './json-value.ts';
import { isObject } from './proxy-config.ts';

/** What is asked. */
export type ProbeTarget =
  | {
      readonly kind: 'http';
      readonly scheme: 'http' | 'https';
      readonly host: string;
      readonly port: number;
      readonly path: string;
      readonly headers: readonly (readonly [string, string])[];
      /** Address to call from, which capture leaves alone; undefined: any. */
      readonly sourceAddress: string | undefined;
    }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'grpc'; readonly host: string; readonly port: number; readonly service: string }
  | { readonly kind: 'exec'; readonly command: readonly string[] };

/** A check and when it counts. */
export interface HealthCheckSettings {
  readonly target: ProbeTarget;
  readonly initialDelayMs: number;
  readonly timeoutMs: number;
  readonly periodMs: number;
  /** So many answers in a row make the application healthy, or not. */
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** What is needed beside the probe itself. */
export interface HealthOptionReader {
  readonly probe: JsonValue | undefined;
  readonly addresses: readonly string[];
  text(name: string): string | undefined;
  problem(name: string): void;
}

/** Undefined without a probe, and for one that cannot be used, which is noted. */
export function readHealthCheck(reader: HealthOptionReader): HealthCheckSettings | undefined {
  const { probe } = reader;
  if (probe === undefined) return undefined;
  const target = isObject(probe) ? readTarget(probe, reader) : undefined;
  if (target === undefined || !isObject(probe)) {
    reader.problem('PROXY_CONFIG.readinessProbe');
    return undefined;
  }
  return {
    target,
    initialDelayMs: countOf(probe['initialDelaySeconds'], 0) * 1000,
    timeoutMs: countOf(probe['timeoutSeconds'], 1) * 1000,
    periodMs: countOf(probe['periodSeconds'], 10) * 1000,
    successThreshold: countOf(probe['successThreshold'], 1),
    failureThreshold: countOf(probe['failureThreshold'], 1),
  };
}

function readTarget(probe: JsonObject, reader: HealthOptionReader): ProbeTarget | undefined {
  const { httpGet, tcpSocket, grpc, exec } = probe as Readonly<Record<string, JsonValue | undefined>>;
  if (isObject(httpGet)) return httpTarget(httpGet, reader);
  if (isObject(tcpSocket)) return withPort(tcpSocket, reader, (place) => ({ kind: 'tcp', ...place }));
  if (isObject(grpc)) {
    const service = textOf(grpc['service']);
    return withPort({ port: grpc['port'] ?? 0 }, reader, (place) => ({ kind: 'grpc', ...place, service }));
  }
  const command = isObject(exec) && Array.isArray(exec['command']) ? exec['command'].map(String) : [];
  return command.length === 0 ? undefined : { kind: 'exec', command };
}

function httpTarget(get: JsonObject, reader: HealthOptionReader): ProbeTarget | undefined {
  const path = textOf(get['path']);
  const headers = Array.isArray(get['httpHeaders']) ? get['httpHeaders'].filter(isObject) : [];
  return withPort(get, reader, (place) => ({
    kind: 'http',
    ...place,
    scheme: textOf(get['scheme']).toLowerCase() === 'https' ? 'https' : 'http',
    path: path.startsWith('/') ? path : `/${path}`,
    headers: headers.map(({ name, value }) => [textOf(name), textOf(value)] as const),
    sourceAddress: sourceAddress(reader),
  }));
}

function withPort(
  place: JsonObject,
  reader: HealthOptionReader,
  make: (place: { readonly host: string; readonly port: number }) => ProbeTarget,
): ProbeTarget | undefined {
  const port = countOf(place['port'], 0);
  if (port === 0 || port > 65_535) return undefined;
  return make({ host: textOf(place['host']) || defaultHost(reader), port });
}

/** Where the application is when the probe does not say. */
function defaultHost({ text, addresses }: HealthOptionReader): string {
  if (text('REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION') === 'true') return 'localhost';
  return text('LATEEN_APP_ADDRESS') ?? addresses[0] ?? 'localhost';
}

/** From these addresses nothing is captured. Source: Istio pilot-agent status UpstreamLocalAddressIPv4. */
function sourceAddress({ text, addresses }: HealthOptionReader): string | undefined {
  if (text('ISTIO_META_INTERCEPTION_MODE') === 'NONE') return undefined;
  return addresses.every(isIPv6) ? '::6' : '127.0.0.6';
}

/** A whole number; the fallback also for 0, as in Istio. */
function countOf(value: JsonValue | undefined, fallback: number): number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : fallback;
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
