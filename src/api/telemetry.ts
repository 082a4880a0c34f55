/**
 * Telemetry: tracing, metrics and access logs of selected workloads.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  AccessLoggingJson,
  MetricsJson,
  TelemetryJson,
  TracingJson,
} from '#proto/istio/telemetry/v1alpha1/telemetry_pb.ts';
import { fieldPath } from './field-path.ts';
import { checkPolicyTarget, checkRange } from './field-rules.ts';
import { Findings } from './findings.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of a Telemetry. */
export type TelemetrySpec = TelemetryJson;
/** One entry of spec.tracing. */
export type TelemetryTracing = TracingJson;
/** One entry of spec.metrics. */
export type TelemetryMetrics = MetricsJson;
/** One entry of spec.accessLogging. */
export type TelemetryAccessLogging = AccessLoggingJson;

interface ProviderRef {
  readonly name?: string;
}

/** Findings about a Telemetry beyond its schema. Source: istio pkg/config/validation ValidateTelemetry. */
export function validateTelemetry(object: MeshObject<TelemetrySpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { tracing = [], metrics = [], accessLogging = [] } = object.spec;
  checkPolicyTarget(object.spec, findings);
  if (tracing.length > 1) notUsed('tracing', 'only one entry is used', 'spec.tracing', findings);
  for (const [index, entry] of tracing.entries()) checkTracing(entry, `spec.tracing[${index}]`, findings);
  for (const [index, entry] of metrics.entries()) checkMetrics(entry, `spec.metrics[${index}]`, findings);
  for (const [index, entry] of accessLogging.entries()) {
    checkProviders(entry.providers, `spec.accessLogging[${index}].providers`, findings);
  }
  return findings.all;
}

function notUsed(field: string, reason: string, path: string, findings: Findings): void {
  findings.add('LTN2041', path, { field, reason, cure: 'Keep one.' });
}

function checkProviders(
  providers: readonly ProviderRef[] | undefined,
  path: string,
  findings: Findings,
): void {
  for (const [index, provider] of (providers ?? []).entries()) {
    if ((provider.name ?? '') === '') findings.missing(`${path}[${index}]`, 'name', 'name: otel');
  }
}

function checkTracing(tracing: TelemetryTracing, path: string, findings: Findings): void {
  const providers = tracing.providers ?? [];
  if (providers.length > 1) notUsed('providers', 'only one provider is used', `${path}.providers`, findings);
  checkProviders(providers, `${path}.providers`, findings);
  checkRange(tracing.randomSamplingPercentage, 0, 100, `${path}.randomSamplingPercentage`, findings);
  const tags = tracing.customTags ?? {};
  for (const name of Object.keys(tags)) {
    const at = fieldPath(`${path}.customTags`, name);
    const tag = tags[name];
    if (name === '') findings.add('LTN2035', at, { field: 'the name of a tag' });
    if (tag?.literal !== undefined && (tag.literal.value ?? '') === '')
      findings.missing(`${at}.literal`, 'value');
    if (tag?.header !== undefined && (tag.header.name ?? '') === '') findings.missing(`${at}.header`, 'name');
    if (tag?.environment !== undefined && (tag.environment.name ?? '') === '')
      findings.missing(`${at}.environment`, 'name');
  }
}

function checkMetrics(metrics: TelemetryMetrics, path: string, findings: Findings): void {
  checkProviders(metrics.providers, `${path}.providers`, findings);
  for (const [index, override] of (metrics.overrides ?? []).entries()) {
    const at = `${path}.overrides[${index}]`;
    if (override.match?.customMetric === '')
      findings.add('LTN2035', `${at}.match.customMetric`, { field: 'customMetric' });
    const tags = override.tagOverrides ?? {};
    for (const name of Object.keys(tags)) {
      const tagPath = fieldPath(`${at}.tagOverrides`, name);
      const { operation = 'UPSERT', value = '' } = tags[name] ?? {};
      if (name === '') notUsed('a tag without a name', 'tags have names', tagPath, findings);
      if (operation === 'UPSERT' && value === '') findings.missing(tagPath, 'value', 'value: request.host');
      if (operation === 'REMOVE' && value !== '') {
        findings.add('LTN2037', `${tagPath}.value`, { field: 'value', when: 'with operation REMOVE' });
      }
    }
  }
}
