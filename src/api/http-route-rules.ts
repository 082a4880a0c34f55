/**
 * Rules for one entry of a VirtualService's spec.http: which parts exclude each other, matches, and every action.
 * Destinations, and the rules shared with TLS and TCP routes, are in tcp-route-rules.ts; faults, retries and CORS in
 * http-action-rules.ts. Source: istio pkg/config/validation/virtualservice.go validateHTTPRoute.
 */
import { fieldPath } from './field-path.ts';
import { checkDuration, checkMatchLabels, checkPort, checkRange } from './field-rules.ts';
import { type Findings, show } from './findings.ts';
import { checkHeaderOperations, checkMatchHeaderName, isAuthorityHeader } from './header-rules.ts';
import {
  checkCorsPolicy,
  checkDirectResponse,
  checkFault,
  checkRedirect,
  checkRetries,
  checkRewrite,
} from './http-action-rules.ts';
import { isDnsLabel } from './name-rules.ts';
import { checkStringMatch, checkStringMatchRegex } from './string-match-rules.ts';
import { checkDestination, checkGatewayNames, checkWeights } from './tcp-route-rules.ts';
import type { HttpMatch, HttpRoute } from './virtual-service.ts';

/** Checks one HTTP route; `inDelegate` when its VirtualService has no hosts. */
export function checkHttpRoute(
  route: HttpRoute,
  inDelegate: boolean,
  path: string,
  findings: Findings,
): void {
  checkExclusions(route, inDelegate, path, findings);
  for (const [index, match] of (route.match ?? []).entries())
    checkMatch(match, `${path}.match[${index}]`, findings);
  checkHeaderOperations(route.headers, `${path}.headers`, findings);
  checkCorsPolicy(route.corsPolicy, `${path}.corsPolicy`, findings);
  checkFault(route.fault, `${path}.fault`, findings);
  checkMirrors(route, path, findings);
  checkRedirect(route, path, findings);
  checkDirectResponse(route.directResponse, `${path}.directResponse`, findings);
  checkRetries(route.retries, `${path}.retries`, findings);
  checkRewrite(route.rewrite, `${path}.rewrite`, findings);
  checkAuthorityOnce(route, path, findings);
  const destinations = route.route ?? [];
  for (const [index, destination] of destinations.entries()) {
    checkHeaderOperations(destination.headers, `${path}.route[${index}].headers`, findings);
  }
  checkWeights(destinations, `${path}.route`, findings);
  checkDuration(route.timeout, `${path}.timeout`, findings);
}

/** What a route does: exactly one of delegate, redirect, directResponse and route; some parts go with one only. */
function checkExclusions(route: HttpRoute, inDelegate: boolean, path: string, findings: Findings): void {
  const destinations = (route.route ?? []).length > 0;
  const together = (field: string, other: string): void => findings.add('LTN2038', path, { field, other });
  if (route.delegate !== undefined && !inDelegate) {
    if (route.redirect !== undefined) together('delegate', 'redirect');
    if (destinations) together('delegate', 'route');
    return;
  }
  if (route.delegate !== undefined) {
    findings.add('LTN2037', `${path}.delegate`, { field: 'delegate', when: 'in a delegate' });
  }
  const action = route.redirect !== undefined ? 'redirect' : 'directResponse';
  if (route.redirect !== undefined || route.directResponse !== undefined) {
    if (destinations) together(action, 'route');
    if (route.fault !== undefined) together(action, 'fault');
    if (route.rewrite !== undefined) together(action, 'rewrite');
    if (route.redirect !== undefined && route.directResponse !== undefined)
      together('redirect', 'directResponse');
  } else if (!destinations) findings.add('LTN2039', path, { fields: 'route, redirect and directResponse' });
  if (route.mirror !== undefined && (route.mirrors ?? []).length > 0) together('mirror', 'mirrors');
}

function checkMatch(match: HttpMatch, path: string, findings: Findings): void {
  for (const name of Object.keys(match.headers ?? {})) {
    const at = fieldPath(`${path}.headers`, name);
    checkMatchHeaderName(name, at, findings);
    checkStringMatch(match.headers?.[name], at, findings);
  }
  for (const name of Object.keys(match.withoutHeaders ?? {})) {
    const at = fieldPath(`${path}.withoutHeaders`, name);
    const value = match.withoutHeaders?.[name];
    checkMatchHeaderName(name, at, findings);
    // "*" stands for "the header is present" here and is no expression.
    if (value?.regex !== '*') checkStringMatch(value, at, findings);
  }
  // An empty prefix matches every path, so only the expression is checked.
  checkStringMatchRegex(match.uri, `${path}.uri`, findings);
  checkStringMatch(match.scheme, `${path}.scheme`, findings);
  checkStringMatch(match.method, `${path}.method`, findings);
  checkStringMatch(match.authority, `${path}.authority`, findings);
  for (const name of Object.keys(match.queryParams ?? {})) {
    const at = fieldPath(`${path}.queryParams`, name);
    if (name === '') findings.add('LTN2035', at, { field: 'the name of a query parameter' });
    checkStringMatch(match.queryParams?.[name], at, findings);
  }
  if ((match.port ?? 0) !== 0) checkPort(match.port, `${path}.port`, findings);
  checkMatchLabels(match.sourceLabels, `${path}.sourceLabels`, findings);
  checkGatewayNames(match.gateways ?? [], `${path}.gateways`, findings);
  const namespace = match.sourceNamespace ?? '';
  if (namespace !== '' && !isDnsLabel(namespace)) {
    findings.add('LTN2015', `${path}.sourceNamespace`, { value: show(namespace), more: '' });
  }
}

function checkMirrors(route: HttpRoute, path: string, findings: Findings): void {
  if (route.mirrorPercent !== undefined) {
    checkRange(route.mirrorPercent, 0, 100, `${path}.mirrorPercent`, findings);
    findings.add('LTN2040', `${path}.mirrorPercent`, { field: 'mirrorPercent', instead: 'mirrorPercentage' });
  }
  if (route.mirrorPercentage !== undefined) {
    checkRange(route.mirrorPercentage.value ?? 0, 0, 100, `${path}.mirrorPercentage.value`, findings);
  }
  checkDestination(route.mirror, `${path}.mirror`, findings);
  for (const [index, mirror] of (route.mirrors ?? []).entries()) {
    const at = `${path}.mirrors[${index}]`;
    if (mirror.destination === undefined) findings.missing(at, 'destination', 'destination: {host: reviews}');
    checkDestination(mirror.destination, `${at}.destination`, findings);
    checkRange(mirror.percentage?.value ?? 0, 0, 100, `${at}.percentage.value`, findings);
  }
}

/** The authority may be rewritten in one place only. */
function checkAuthorityOnce(route: HttpRoute, path: string, findings: Findings): void {
  const request = route.headers?.request;
  const names = [...Object.keys(request?.set ?? {}), ...Object.keys(request?.add ?? {})].filter(
    isAuthorityHeader,
  );
  const times = names.length + ((route.rewrite?.authority ?? '') === '' ? 0 : 1);
  if (times > 1) findings.add('LTN2059', `${path}.headers.request`);
}
