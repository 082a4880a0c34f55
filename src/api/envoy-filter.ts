/**
 * EnvoyFilter: patches on generated Envoy configuration.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import type {
  EnvoyFilterJson,
  EnvoyFilter_ApplyToJson,
  EnvoyFilter_EnvoyConfigObjectMatchJson,
  EnvoyFilter_EnvoyConfigObjectPatchJson,
  EnvoyFilter_PatchJson,
} from '#proto/istio/networking/v1alpha3/envoy_filter_pb.ts';
import { checkPolicyTarget, checkPort, checkSelectorLabels, regexProblem } from './field-rules.ts';
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
 * Findings about an EnvoyFilter beyond its schema. Source: istio pkg/config/validation/envoyfilter; differs: the patch
 * value is not yet decoded as the Envoy message that it becomes, so misspelled Envoy fields are found later.
 */
export function validateEnvoyFilter(object: MeshObject<EnvoyFilterSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { workloadSelector, targetRefs, configPatches = [] } = object.spec;
  if (workloadSelector !== undefined)
    checkSelectorLabels(workloadSelector.labels, 'spec.workloadSelector', findings);
  checkPolicyTarget(targetRefs === undefined ? {} : { targetRefs }, findings);
  for (const [index, patch] of configPatches.entries()) {
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
  else if (match !== undefined) checkEnvoyMatch(match, applyTo, `${path}.match`, findings);
}

function checkEnvoyMatch(
  match: EnvoyConfigMatch,
  applyTo: EnvoyApplyTo,
  path: string,
  findings: Findings,
): void {
  const version = match.proxy?.proxyVersion ?? '';
  const problem = regexProblem(version);
  if (problem !== '')
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
  if (filter.subFilter === undefined || name === '') return;
  if (applyTo !== 'HTTP_FILTER') {
    findings.add('LTN2037', `${at}.subFilter`, { field: 'subFilter', when: 'unless applyTo is HTTP_FILTER' });
  } else if (!CONNECTION_MANAGERS.has(name)) {
    const when = 'unless the filter is envoy.filters.network.http_connection_manager';
    findings.add('LTN2037', `${at}.subFilter`, { field: 'subFilter', when });
  } else if ((filter.subFilter.name ?? '') === '') findings.missing(`${at}.subFilter`, 'name');
}
