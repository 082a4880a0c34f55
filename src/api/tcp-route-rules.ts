/**
 * Rules for spec.tls and spec.tcp of a VirtualService, and for what all its routes share: destinations with weights
 * and names of gateways. Source: istio pkg/config/validation/validation.go validateTLSRoute, validateTCPRoute.
 */
import { isIp } from '#base/cidr.ts';
import { isSubsetOf } from '#base/hostname.ts';
import { checkAddressOrCidr, checkMatchLabels, checkNotNegative, checkPort } from './field-rules.ts';
import { type Findings, show } from './findings.ts';
import { gatewayHostProblem, hostProblem, wildcardHostProblem } from './host-rules.ts';
import { isDnsLabel } from './name-rules.ts';
import type {
  Destination,
  L4Match,
  TcpRoute,
  TlsMatch,
  TlsRoute,
  VirtualServiceSpec,
} from './virtual-service.ts';

/** A destination with its share of the traffic. */
interface WeightedDestination {
  readonly destination?: Destination;
  readonly weight?: number;
}

/** Checks one entry of spec.tls. */
export function checkTlsRoute(
  route: TlsRoute,
  spec: VirtualServiceSpec,
  path: string,
  findings: Findings,
): void {
  const matches = route.match ?? [];
  if (matches.length === 0) findings.missing(path, 'match', 'match: [{sniHosts: [example.com], port: 443}]');
  for (const [index, match] of matches.entries())
    checkTlsMatch(match, spec, `${path}.match[${index}]`, findings);
  checkRouteRequired(route.route, path, findings);
}

/** Checks one entry of spec.tcp. */
export function checkTcpRoute(route: TcpRoute, path: string, findings: Findings): void {
  for (const [index, match] of (route.match ?? []).entries())
    checkL4Match(match, `${path}.match[${index}]`, findings);
  checkRouteRequired(route.route, path, findings);
}

function checkRouteRequired(
  destinations: readonly WeightedDestination[] | undefined,
  path: string,
  findings: Findings,
): void {
  if ((destinations ?? []).length === 0)
    findings.missing(path, 'route', 'route: [{destination: {host: reviews}}]');
  checkWeights(destinations ?? [], `${path}.route`, findings);
}

function checkTlsMatch(match: TlsMatch, spec: VirtualServiceSpec, path: string, findings: Findings): void {
  const sniHosts = match.sniHosts ?? [];
  if (sniHosts.length === 0) findings.missing(path, 'sniHosts', 'sniHosts: [example.com]');
  for (const [index, host] of sniHosts.entries())
    checkSniHost(host, spec, `${path}.sniHosts[${index}]`, findings);
  checkL4Match(match, path, findings);
}

/** What TLS and TCP matches share. */
function checkL4Match(match: L4Match | TlsMatch, path: string, findings: Findings): void {
  for (const [index, subnet] of (match.destinationSubnets ?? []).entries()) {
    checkAddressOrCidr(subnet, `${path}.destinationSubnets[${index}]`, findings);
  }
  if ((match.port ?? 0) !== 0) checkPort(match.port, `${path}.port`, findings);
  checkMatchLabels(match.sourceLabels, `${path}.sourceLabels`, findings);
  checkGatewayNames(match.gateways ?? [], `${path}.gateways`, findings);
}

function checkSniHost(host: string, spec: VirtualServiceSpec, path: string, findings: Findings): void {
  const atGateway = !(spec.gateways ?? []).includes('mesh');
  const problem = atGateway ? gatewayHostProblem(host, true) : wildcardHostProblem(host);
  if (problem !== '') {
    if (isIp(host)) findings.add('LTN2104', path, { host: show(host) });
    else findings.add('LTN2001', path, { host: show(host), problem });
    return;
  }
  if (!(spec.hosts ?? []).some((outer) => isSubsetOf(host, outer)))
    findings.add('LTN2103', path, { host: show(host) });
}

/** Envoy adds weights up in 32 bits. */
const MAX_TOTAL_WEIGHT = 2 ** 32 - 1;

/** Destinations and their weights; of several at least one must have a weight. */
export function checkWeights(
  destinations: readonly WeightedDestination[],
  path: string,
  findings: Findings,
): void {
  let total = 0;
  for (const [index, item] of destinations.entries()) {
    const at = `${path}[${index}]`;
    if (item.destination === undefined) findings.missing(at, 'destination', 'destination: {host: reviews}');
    checkDestination(item.destination, `${at}.destination`, findings);
    checkNotNegative(item.weight, `${at}.weight`, findings);
    total += item.weight ?? 0;
  }
  if (destinations.length > 1 && total === 0) findings.add('LTN2101', path);
  if (total > MAX_TOTAL_WEIGHT) {
    findings.add('LTN2032', path, { value: String(total), min: '0', max: String(MAX_TOTAL_WEIGHT) });
  }
}

/** Host, subset and port of a destination; absent is fine here. */
export function checkDestination(
  destination: Destination | undefined,
  path: string,
  findings: Findings,
): void {
  if (destination === undefined) return;
  const { host = '', subset = '' } = destination;
  const problem = host === '*' ? 'it names every host' : wildcardHostProblem(host);
  if (problem !== '') findings.add('LTN2001', `${path}.host`, { host: show(host), problem });
  if (subset !== '') checkSubsetName(subset, `${path}.subset`, findings);
  if (destination.port !== undefined) checkPort(destination.port.number, `${path}.port.number`, findings);
}

/** A subset's name is a DNS label. */
export function checkSubsetName(name: string, path: string, findings: Findings): void {
  if (isDnsLabel(name)) return;
  findings.add('LTN1106', path, { name: show(name), limit: '63', marks: '"-"' });
}

/** Gateways are named `name` or `namespace/name`; `mesh` is a name; dots are the old form `name.namespace.…`. */
export function checkGatewayNames(names: readonly string[], path: string, findings: Findings): void {
  for (const [index, name] of names.entries()) {
    const at = `${path}[${index}]`;
    const slash = name.indexOf('/');
    if (slash >= 0) {
      if (isDnsLabel(name.slice(0, slash)) && isDnsLabel(name.slice(slash + 1))) continue;
      findings.add('LTN2106', at, { gateway: show(name) });
    } else if (hostProblem(name) !== '') findings.add('LTN2106', at, { gateway: show(name) });
    else if (name.includes('.')) {
      const [first = '', second = ''] = name.split('.');
      findings.add('LTN2105', at, { gateway: show(name), suggestion: `${second}/${first}` });
    }
  }
}
