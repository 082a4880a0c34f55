/**
 * EnvoyFilter: patches on generated Envoy configuration.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import { isFieldSet, isMessage } from '@bufbuild/protobuf';
import type { Diagnostic } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import type {
  EnvoyFilterJson,
  EnvoyFilter_ApplyToJson,
  EnvoyFilter_EnvoyConfigObjectMatchJson,
  EnvoyFilter_EnvoyConfigObjectPatchJson,
  EnvoyFilter_PatchJson,
} from '#proto/istio/networking/v1alpha3/envoy_filter_pb.ts';
import { effectiveOperation } from './envoy-filter-operation.ts';
import { decodePatchValue, type PatchValue } from './envoy-filter-value.ts';
import { checkPolicyTarget, checkPort, checkSelectorLabels, regexProblem } from './field-rules.ts';
import { RENAMED_FILTERS } from './filter-names.ts';
import { Findings, show } from './findings.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of an EnvoyFilter. */
export type EnvoyFilterSpec = EnvoyFilterJson;
/** One entry of spec.configPatches. */
export type EnvoyConfigPatch = EnvoyFilter_EnvoyConfigObjectPatchJson;
/** Which generated configuration a patch applies to. */
export type EnvoyConfigMatch = EnvoyFilter_EnvoyConfigObjectMatchJson;
/** What is done to the matched part. */
export type EnvoyPatch = EnvoyFilter_PatchJson;
/** The kind of part that a patch applies to. */
export type EnvoyApplyTo = EnvoyFilter_ApplyToJson;

const CONNECTION_MANAGERS: ReadonlySet<string> = new Set([
  'envoy.filters.network.http_connection_manager',
  'envoy.http_connection_manager',
]);

/** A longer proxyVersion matches no proxy. Source: istio pilot/pkg/model/envoyfilter.go maxProxyVersionLen. */
export const MAX_PROXY_VERSION_LENGTH = 1024;

/** Each is tried on every resource of its kind. */
const MAX_PATCHES = 1_000;
/** Of a patch value as JSON; it is copied into each resource that it meets. */
const MAX_VALUE_CHARACTERS = 1 << 20;

/** Which member of `match` goes with which `applyTo`. */
const MATCH_BY_APPLY_TO: ReadonlyMap<string, 'listener' | 'routeConfiguration' | 'cluster'> = new Map([
  ['LISTENER', 'listener'],
  ['FILTER_CHAIN', 'listener'],
  ['NETWORK_FILTER', 'listener'],
  ['HTTP_FILTER', 'listener'],
  ['ROUTE_CONFIGURATION', 'routeConfiguration'],
  ['VIRTUAL_HOST', 'routeConfiguration'],
  ['HTTP_ROUTE', 'routeConfiguration'],
  ['CLUSTER', 'cluster'],
]);

/**
 * Findings about an EnvoyFilter beyond its schema, its patch values among them. Source: istio
 * pkg/config/validation/envoyfilter; differs: what does nothing is told as a note.
 */
export function validateEnvoyFilter(object: MeshObject<EnvoyFilterSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { workloadSelector, targetRefs, configPatches = [] } = object.spec;
  if (workloadSelector !== undefined)
    checkSelectorLabels(workloadSelector.labels, 'spec.workloadSelector', findings);
  checkPolicyTarget(targetRefs === undefined ? {} : { targetRefs }, findings);
  if (configPatches.length > MAX_PATCHES)
    findings.add('LTN1009', 'spec.configPatches', { limit: `${MAX_PATCHES} patches` });
  for (const [index, patch] of configPatches.slice(0, MAX_PATCHES).entries()) {
    const path = `spec.configPatches[${index}]`;
    checkContext(patch.match ?? {}, `${path}.match`, findings);
    if (patch.match?.context !== 'WAYPOINT') checkPatch(patch, path, findings);
  }
  return findings.all;
}

/**
 * The caution that Istio's webhook and `istioctl analyze` attach to every EnvoyFilter, whatever it says. Not part of
 * the validation, so that a folder with a known filter in it stays quiet.
 */
export function cautionEnvoyFilter(object: MeshObject): Diagnostic {
  return makeDiagnostic('LTN2601', { resource: object, path: '' });
}

/** Waypoints have a match of their own. Source: the rules in EnvoyFilter's CRD. */
function checkContext(match: EnvoyConfigMatch, path: string, findings: Findings): void {
  const { context = 'ANY', waypoint } = match;
  const other = (['listener', 'routeConfiguration', 'cluster'] as const).find(
    (kind) => match[kind] !== undefined,
  );
  if (context === 'WAYPOINT' && other !== undefined) {
    findings.add('LTN2037', `${path}.${other}`, { field: other, when: 'with context WAYPOINT' });
  }
  if (context !== 'WAYPOINT' && waypoint !== undefined) {
    findings.add('LTN2037', `${path}.waypoint`, { field: 'waypoint', when: 'unless context is WAYPOINT' });
  }
  if ((waypoint?.portNumber ?? 0) !== 0)
    checkPort(waypoint?.portNumber, `${path}.waypoint.portNumber`, findings);
}

function checkPatch(item: EnvoyConfigPatch, path: string, findings: Findings): void {
  const { applyTo = 'INVALID', match, patch } = item;
  const { operation = 'INVALID' } = patch ?? {};
  if (applyTo === 'INVALID') findings.missing(path, 'applyTo', 'applyTo: HTTP_FILTER');
  else if (patch === undefined) findings.missing(path, 'patch', 'patch: {operation: MERGE, value: {}}');
  else if (operation === 'INVALID') findings.missing(`${path}.patch`, 'operation', 'operation: MERGE');
  else if (operation !== 'REMOVE' && patch.value === undefined) findings.missing(`${path}.patch`, 'value');
  else {
    if (match !== undefined) checkEnvoyMatch(match, applyTo, `${path}.match`, findings);
    if (patch.value !== undefined) checkValue(applyTo, patch.value, `${path}.patch.value`, findings);
    checkEffect(item, path, findings);
  }
}

function checkValue(applyTo: EnvoyApplyTo, value: unknown, path: string, findings: Findings): void {
  if (JSON.stringify(value).length > MAX_VALUE_CHARACTERS)
    return findings.add('LTN1009', path, { limit: `${MAX_VALUE_CHARACTERS} characters` });
  const decoded = decodePatchValue(applyTo, value, path, findings);
  if (decoded === undefined) return;
  for (const name of namesWithoutConfig(decoded)) findings.add('LTN2606', path, { name: show(name) });
}

/**
 * Extensions that are named but not typed, in the value and the single messages below it.
 * Source: istio recurseMissingTypedConfig, which does not look into lists either.
 */
function namesWithoutConfig({ desc, message }: PatchValue): string[] {
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  const found: string[] = [];
  for (const field of desc.fields) {
    if (field.fieldKind !== 'message' || !isFieldSet(message, field)) continue;
    const holder =
      field.oneof === undefined ? undefined : (fields[field.oneof.localName] as { value: unknown });
    const inner = holder === undefined ? fields[field.localName] : holder.value;
    // Wrappers and google.protobuf.Struct are plain values here.
    if (isMessage(inner, field.message))
      found.push(...namesWithoutConfig({ desc: field.message, message: inner }));
  }
  const has = (name: string): boolean => {
    const field = desc.fields.find((one) => one.name === name);
    return field !== undefined && isFieldSet(message, field);
  };
  const needsConfig = desc.fields.some((field) => field.name === 'typed_config');
  if (needsConfig && !has('typed_config') && !has('config_discovery'))
    found.push(String(fields['name'] ?? ''));
  return found;
}

/** A note on what is well-formed and does nothing. */
function checkEffect(
  { applyTo = 'INVALID', match, patch }: EnvoyConfigPatch,
  path: string,
  findings: Findings,
): void {
  const { operation = 'INVALID' } = patch ?? {};
  if (effectiveOperation(applyTo, operation) === undefined) {
    const cure = applyTo === 'BOOTSTRAP' ? 'Give the workload a bootstrap of its own instead.' : '';
    findings.add('LTN2608', `${path}.patch.operation`, { operation, applyTo, cure });
  } else if (operation === 'REMOVE' || operation === 'REPLACE') {
    const missing = missingFilterMatch(applyTo, match ?? {});
    if (missing === '') return;
    findings.add('LTN2608', `${path}.patch.operation`, {
      operation,
      applyTo,
      cure: `Say which one in ${missing}.`,
    });
  }
}

/** The member of `match` without which filters are neither removed nor replaced. */
function missingFilterMatch(applyTo: EnvoyApplyTo, { listener }: EnvoyConfigMatch): string {
  const filter = listener?.filterChain?.filter;
  if (applyTo === 'LISTENER_FILTER')
    return (listener?.listenerFilter ?? '') === '' ? 'listener.listenerFilter' : '';
  if (applyTo === 'NETWORK_FILTER') return filter === undefined ? 'listener.filterChain.filter' : '';
  if (applyTo === 'HTTP_FILTER')
    return filter?.subFilter === undefined ? 'listener.filterChain.filter.subFilter' : '';
  return '';
}

function checkEnvoyMatch(
  match: EnvoyConfigMatch,
  applyTo: EnvoyApplyTo,
  path: string,
  findings: Findings,
): void {
  const version = match.proxy?.proxyVersion ?? '';
  const limit = MAX_PROXY_VERSION_LENGTH;
  const problem = version.length > limit ? '' : regexProblem(version);
  if (version.length > limit) findings.add('LTN2607', `${path}.proxy.proxyVersion`, { limit: String(limit) });
  else if (problem !== '')
    findings.add('LTN2053', `${path}.proxy.proxyVersion`, { regex: show(version), problem });
  const wanted = MATCH_BY_APPLY_TO.get(applyTo);
  const given = (['listener', 'routeConfiguration', 'cluster', 'waypoint'] as const).find(
    (kind) => match[kind],
  );
  if (wanted !== undefined && given !== undefined && given !== wanted) {
    findings.add('LTN2602', `${path}.${given}`, { match: given, applyTo, wanted });
  } else if (wanted === 'listener') checkFilterMatch(match, applyTo, path, findings);
}

function checkFilterMatch(
  match: EnvoyConfigMatch,
  applyTo: EnvoyApplyTo,
  path: string,
  findings: Findings,
): void {
  const filter = match.listener?.filterChain?.filter;
  if (filter === undefined) return;
  const at = `${path}.listener.filterChain.filter`;
  if (applyTo === 'LISTENER' || applyTo === 'FILTER_CHAIN') {
    findings.add('LTN2041', at, { field: 'filter', reason: `applyTo is ${applyTo}` });
  }
  const name = filter.name ?? '';
  if (name === '') findings.missing(at, 'name', 'name: envoy.filters.network.http_connection_manager');
  checkFilterName(name, `${at}.name`, findings);
  checkFilterName(filter.subFilter?.name ?? '', `${at}.subFilter.name`, findings);
  if (filter.subFilter === undefined || name === '') return;
  if (applyTo !== 'HTTP_FILTER') {
    findings.add('LTN2037', `${at}.subFilter`, { field: 'subFilter', when: 'unless applyTo is HTTP_FILTER' });
  } else if (!CONNECTION_MANAGERS.has(name)) {
    const when = 'unless the filter is envoy.filters.network.http_connection_manager';
    findings.add('LTN2037', `${at}.subFilter`, { field: 'subFilter', when });
  } else if ((filter.subFilter.name ?? '') === '') findings.missing(`${at}.subFilter`, 'name');
}

function checkFilterName(name: string, path: string, findings: Findings): void {
  const instead = RENAMED_FILTERS.get(name);
  if (instead !== undefined) findings.add('LTN2605', path, { name: show(name), instead });
}
