/**
 * Rules for tracing in mesh config and in the proxies' config. What would do nothing is told and stops nothing: the rest of the config
 * holds, as in Istio. Source: istio pkg/config/validation/agent/validation.go; what Envoy would refuse of tags is left out in scope/tracing.ts.
 */
import { fieldPath } from './field-path.ts';
import { type Findings, show } from './findings.ts';
import { checkHostPort } from './host-port-rules.ts';
import type { MeshConfigPart, MeshProxyConfigPart } from './mesh-config.ts';
import { checkClientTls } from './traffic-policy-rules.ts';

type Tracing = NonNullable<MeshProxyConfigPart['tracing']>;

/** Kinds of provider that take spans. */
const TRACER_KINDS = ['zipkin', 'datadog', 'skywalking', 'opentelemetry'] as const;

/** Checks `tracing` of a ProxyConfig. */
export function checkTracing(tracing: Tracing | undefined, path: string, findings: Findings): void {
  const { zipkin, datadog, lightstep } = tracing ?? {};
  for (const [name, tracer] of Object.entries({ zipkin, datadog, lightstep })) {
    if (tracer === undefined) continue;
    const address = (tracer.address ?? '').replace('$(HOST_IP)', '127.0.0.1');
    checkHostPort(address, `${path}.${name}.address`, findings);
  }
  if (lightstep !== undefined && (lightstep.accessToken ?? '') === '')
    findings.missing(`${path}.lightstep`, 'accessToken');
  checkClientTls(tracing?.tlsSettings, '', `${path}.tlsSettings`, findings);
  checkTags(tracing?.customTags ?? {}, `${path}.customTags`, findings);
  for (const field of ['lightstep', 'stackdriver', 'openCensusAgent'] as const) {
    if (tracing?.[field] !== undefined)
      notUsed(field, 'Envoy has no such tracer', `${path}.${field}`, findings);
  }
}

function checkTags(tags: NonNullable<Tracing['customTags']>, path: string, findings: Findings): void {
  for (const [name, { literal, environment, header }] of Object.entries(tags)) {
    const source = literal?.value ?? environment?.name ?? header?.name ?? '';
    if (name !== '' && source !== '') continue;
    notUsed(show(name), 'a tag has a name and a source', fieldPath(path, name), findings);
  }
}

/** Checks `defaultProviders.tracing`, which is at `path`. Source: istio pilot/pkg/model/telemetry.go Tracing. */
export function checkTracingProviders(config: MeshConfigPart, path: string, findings: Findings): void {
  const [name, ...others] = config.defaultProviders?.tracing ?? [];
  if (name === undefined) return;
  if (others.length > 0) notUsed('more than one provider', 'the first one takes all spans', path, findings);
  const found = config.extensionProviders?.find((one) => one.name?.toLowerCase() === name.toLowerCase());
  const takesSpans = found !== undefined && TRACER_KINDS.some((kind) => found[kind] !== undefined);
  const problem = found === undefined ? 'there is none of this name' : 'providers of its kind take no spans';
  if (!takesSpans) findings.add('LTN4001', `${path}[0]`, { name: show(name), problem });
}

function notUsed(field: string, reason: string, path: string, findings: Findings): void {
  findings.add('LTN4003', path, { field, reason });
}
