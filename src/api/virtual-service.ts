/**
 * VirtualService: how requests to a set of hosts are routed.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import { isIp } from '#base/cidr.ts';
import { matchesHost } from '#base/hostname.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  CorsPolicyJson,
  DestinationJson,
  HTTPFaultInjectionJson,
  HTTPMatchRequestJson,
  HTTPRedirectJson,
  HTTPRetryJson,
  HTTPRewriteJson,
  HTTPRouteDestinationJson,
  HTTPRouteJson,
  HeadersJson,
  L4MatchAttributesJson,
  RouteDestinationJson,
  StringMatchJson,
  TCPRouteJson,
  TLSMatchAttributesJson,
  TLSRouteJson,
  VirtualServiceJson,
} from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { checkExportTo } from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { isJwtClaimHeader } from './header-rules.ts';
import { gatewayHostProblem, wildcardHostProblem } from './host-rules.ts';
import { checkHttpRoute } from './http-route-rules.ts';
import type { MeshObject } from './mesh-object.ts';
import { checkGatewayNames, checkTcpRoute, checkTlsRoute } from './tcp-route-rules.ts';
import { findUnreachableRoutes } from './unreachable-routes.ts';

/** spec of a VirtualService. */
export type VirtualServiceSpec = VirtualServiceJson;
/** One entry of spec.http. */
export type HttpRoute = HTTPRouteJson;
/** One entry of spec.http[].match; all its conditions must hold. */
export type HttpMatch = HTTPMatchRequestJson;
/** One weighted destination of an HTTP route. */
export type HttpRouteDestination = HTTPRouteDestinationJson;
/** Host, subset and port that a route leads to. */
export type Destination = DestinationJson;
/** Exact, prefix or regex (RE2); at most one is set. */
export type StringMatch = StringMatchJson;
/** Header operations on request and response. */
export type HeaderOperations = HeadersJson;
/** Answers with a redirect instead of forwarding. */
export type HttpRedirect = HTTPRedirectJson;
/** Changes path or authority before forwarding. */
export type HttpRewrite = HTTPRewriteJson;
/** How often and on what a request is tried again. */
export type HttpRetry = HTTPRetryJson;
/** Aborts or delays put in for tests. */
export type HttpFaultInjection = HTTPFaultInjectionJson;
/** Cross-origin rules. */
export type CorsPolicy = CorsPolicyJson;
/** One entry of spec.tls. */
export type TlsRoute = TLSRouteJson;
/** One entry of spec.tls[].match. */
export type TlsMatch = TLSMatchAttributesJson;
/** One entry of spec.tcp. */
export type TcpRoute = TCPRouteJson;
/** One entry of spec.tcp[].match. */
export type L4Match = L4MatchAttributesJson;
/** One weighted destination of a TLS or TCP route. */
export type RouteDestination = RouteDestinationJson;

/** The name that stands for all sidecars in the gateways of a VirtualService. */
export const MESH_GATEWAY = 'mesh';

/** Findings about a VirtualService beyond its schema. Source: istio pkg/config/validation ValidateVirtualService. */
export function validateVirtualService(object: MeshObject<VirtualServiceSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { spec } = object;
  const gateways = spec.gateways ?? [];
  const atGateway = gateways.length > 0 && !gateways.includes(MESH_GATEWAY);
  const isDelegate = (spec.hosts ?? []).length === 0;
  if (isDelegate) checkDelegate(spec, findings);
  checkGatewayNames(gateways, 'spec.gateways', findings);
  if (!atGateway) checkJwtClaims(spec, findings);
  checkHosts(spec, atGateway, findings);
  const { http = [], tls = [], tcp = [] } = spec;
  if (http.length + tls.length + tcp.length === 0)
    findings.add('LTN2039', 'spec', { fields: 'http, tls and tcp' });
  for (const [index, route] of http.entries())
    checkHttpRoute(route, isDelegate, `spec.http[${index}]`, findings);
  for (const [index, route] of tls.entries()) checkTlsRoute(route, spec, `spec.tls[${index}]`, findings);
  for (const [index, route] of tcp.entries()) checkTcpRoute(route, `spec.tcp[${index}]`, findings);
  checkExportTo(spec.exportTo, { namespace: object.namespace }, 'spec.exportTo', findings);
  findUnreachableRoutes(spec, findings);
  return findings.all;
}

function checkDelegate(spec: VirtualServiceSpec, findings: Findings): void {
  const when = 'in a delegate, which is a VirtualService without hosts';
  for (const field of ['gateways', 'tls', 'tcp'] as const) {
    if ((spec[field] ?? []).length > 0) findings.add('LTN2037', `spec.${field}`, { field, when });
  }
}

/** Only gateways verify JWTs before they route. */
function checkJwtClaims(spec: VirtualServiceSpec, findings: Findings): void {
  for (const [i, route] of (spec.http ?? []).entries()) {
    for (const [j, match] of (route.match ?? []).entries()) {
      for (const part of ['headers', 'withoutHeaders'] as const) {
        for (const header of Object.keys(match[part] ?? {}).filter(isJwtClaimHeader)) {
          findings.add('LTN2102', `spec.http[${i}].match[${j}].${part}`, { header });
        }
      }
    }
  }
}

function checkHosts(spec: VirtualServiceSpec, atGateway: boolean, findings: Findings): void {
  const hosts = spec.hosts ?? [];
  const hasSni = (spec.tls ?? []).some((route) =>
    (route.match ?? []).some((match) => (match.sniHosts ?? []).length > 0),
  );
  let allValid = true;
  for (const [index, host] of hosts.entries()) {
    const path = `spec.hosts[${index}]`;
    const problem = atGateway ? gatewayHostProblem(host, hasSni) : wildcardHostProblem(host);
    if (problem !== '' && !isIp(host)) {
      findings.add('LTN2001', path, { host: show(host), problem });
      allValid = false;
    } else if (host === '*' && !atGateway) {
      findings.add('LTN2002', path, {
        host: '"*"',
        cure: 'Name the hosts, or bind the VirtualService to gateways only.',
      });
      allValid = false;
    }
  }
  if (allValid) checkOverlaps(hosts, findings);
}

/** Hosts beyond this number are compared for equality only, so that the check stays linear. */
const MAX_COMPARED_HOSTS = 500;

function checkOverlaps(hosts: readonly string[], findings: Findings): void {
  for (const [i, host] of hosts.slice(0, MAX_COMPARED_HOSTS).entries()) {
    const other = hosts.slice(0, i).find((earlier) => matchesHost(earlier, host));
    if (other !== undefined)
      findings.add('LTN2006', `spec.hosts[${i}]`, { host: show(host), other: show(other) });
  }
}
