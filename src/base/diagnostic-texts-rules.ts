/**
 * Texts of findings about the meaning of Istio's kinds (LTN2xxx): well-formed objects that Istio's webhook refuses or
 * warns about. Part of the catalogue in diagnostic-catalog.ts. Several rules share a code where the cure is the same.
 */
import type { DiagnosticEntry } from './diagnostic-catalog.ts';

function error(text: string, ...cures: readonly string[]): DiagnosticEntry {
  return { severity: 'error', text, cures, since: '0.1' };
}

function warning(text: string, ...cures: readonly string[]): DiagnosticEntry {
  return { severity: 'warning', text, cures, since: '0.1' };
}

/** Rules of Istio's kinds. */
export const RULE_TEXTS = {
  LTN2001: error(
    '{host} is not a valid host name: {problem}',
    'Write a DNS name such as reviews.default.svc.cluster.local.',
  ),
  LTN2002: error('the host {host} is not allowed here', '{cure}'),
  LTN2003: error(
    '{host} is a short name',
    'Write the whole name, for example {host}.default.svc.cluster.local.',
  ),
  LTN2004: error(
    '{host} has a wildcard inside its first label',
    'Write the wildcard as a label of its own: *.example.com.',
  ),
  LTN2005: warning(
    '{host} has a wildcard inside its first label',
    'Write the wildcard as a label of its own: *.example.com.',
  ),
  LTN2006: error('the hosts {host} and {other} overlap', 'Keep the wider of the two.'),
  LTN2007: error('{address} is not an IP address', 'Write an IPv4 or IPv6 address.'),
  LTN2008: error(
    '{address} is not an IP address or a CIDR range',
    'Write 10.1.2.3, 10.1.0.0/16 or 2001:db8::/32.',
  ),
  LTN2009: error(
    '{address} is neither an IP address nor a host name',
    'Write an IP address, or a DNS name with resolution DNS.',
  ),
  LTN2010: error(
    '{path} is not an absolute path of a socket',
    'Write unix:///path/to/socket or unix://@name.',
  ),
  LTN2011: error('the port {port} is not within 1..65535', 'Write a port number from 1 to 65535.'),
  LTN2012: error('{name} is not a valid port name', 'Use at most 63 letters, digits and "-".'),
  LTN2013: error(
    'unknown protocol {protocol}',
    'Did you mean {suggestion}? Known protocols: {known}.',
    'Known protocols: {known}.',
  ),
  LTN2014: error('{what} {value} is used twice', 'Give each a value of its own.'),
  LTN2015: error('{value} is not a valid namespace', 'Write a namespace, "." for this namespace{more}.'),
  LTN2016: error('exportTo: {problem}', 'Write ["*"], ["."], or a list of namespaces.'),

  LTN2020: error(
    'the label {key}={value} is not valid',
    'Use letters, digits, "-", "_" and "."; values have at most 63 characters.',
  ),
  LTN2021: error(
    'a selector label is empty or has a wildcard: {key}={value}',
    'Write the whole key and the whole value of the label.',
  ),
  LTN2022: warning(
    'the selector has no labels: the object applies to all workloads of the namespace',
    'Remove the selector, or add labels.',
  ),
  LTN2023: error('only one of selector, targetRef and targetRefs may be set', 'Keep one of them.'),
  LTN2024: error(
    'a targetRef cannot name {target}',
    'Name a Service, ServiceEntry, Gateway (gateway.networking.k8s.io) or GatewayClass of this namespace.',
  ),

  LTN2030: error('the duration {value} is shorter than 1ms', 'Write a duration of at least 1ms.'),
  LTN2031: error('the duration {value} is finer than a millisecond', 'Round it to milliseconds.'),
  LTN2032: error('{value} is not within {min}..{max}', 'Write a number from {min} to {max}.'),
  LTN2033: error('{value} is negative', 'Write zero or a positive number.'),
  LTN2034: error('{value} is not allowed: {problem}', '{cure}'),
  LTN2035: error('{field} must not be empty', 'Add a value, or remove the field.', 'Add at least one entry.'),
  LTN2036: error('{field} is required {when}', 'Add {field}.'),
  LTN2037: error('{field} must not be set {when}', 'Remove {field}.'),
  LTN2038: error('{field} and {other} cannot be set together', 'Keep one of the two.'),
  LTN2039: error('one of {fields} is required', 'Add one of {fields}.'),
  LTN2040: warning('{field} is deprecated', 'Use {instead} instead.'),
  LTN2041: warning('{field} has no effect: {reason}', '{cure}', 'Remove it.'),
  LTN2042: warning('{field} should be set {when}', 'Add {field}.'),
  LTN2043: error('{field} is not supported', '{cure}', 'Remove {field}.'),
  LTN2044: warning('{value} is listed twice', 'Remove one of the two.'),
  LTN2045: warning('{value} is unknown and will be ignored', 'Known values: {known}.', 'Remove it.'),

  LTN2050: error('{header} is not a valid header name', 'Use letters, digits and "-".'),
  LTN2051: error('the header {header} cannot be changed here', '{cure}', 'Remove it.'),
  LTN2052: error(
    'the header value {value} is not valid: {problem}',
    'Write %% for a percent sign, %NAME% for a value that Envoy fills in.',
  ),
  LTN2053: error(
    '{regex} is not a valid RE2 regular expression: {problem}',
    'RE2 has no look-around and no back-references; see its syntax page.',
  ),
  LTN2054: error('the match has an empty value', 'Write a value, or remove the match.'),
  LTN2055: error('the HTTP status {status} is not within 200..600', 'Write a status such as 503.'),
  LTN2056: error(
    'unknown gRPC status {status}',
    'Did you mean {suggestion}? Known: {known}.',
    'Known: {known}.',
  ),
  LTN2057: error(
    '{policy} is not a retry condition',
    'Did you mean {suggestion}?',
    'Known conditions: {known}, and HTTP status codes.',
  ),
  LTN2058: error('{method} is not an HTTP method', 'Write the method in capitals, or *.'),
  LTN2059: error(
    'the authority is set more than once',
    'Set it in rewrite.authority or in one header operation.',
  ),

  LTN2101: error('the weights of all destinations are 0', 'Give at least one destination a weight.'),
  LTN2102: error(
    'JWT claims ({header}) can be matched at gateways only',
    'Bind the VirtualService to a gateway, or match another header.',
  ),
  LTN2103: error('the SNI host {host} is not covered by spec.hosts', 'Add {host} to spec.hosts.'),
  LTN2104: warning('{host} is an IP address: most clients send no SNI for it', 'Match a host name.'),
  LTN2105: warning('{gateway} names a gateway in the old form', 'Write {suggestion}.'),
  LTN2106: error('{gateway} is not a valid gateway reference', 'Write name or namespace/name.'),
  LTN2107: warning(
    'the response body is larger than 100 kB and slows down the control plane',
    'Serve it from a workload.',
  ),
  LTN2108: error('the response body is larger than 1 MB', 'Serve it from a workload.'),

  LTN2201: error(
    'the localities overlap or are malformed: {problem}',
    'Write region, region/zone or region/zone/subzone; "*" at the end only.',
  ),
  LTN2202: error('the weights of a locality add up to {total}', 'Make them add up to 100.'),

  LTN2301: error('a server of protocol {protocol} needs tls', 'Add tls with a mode and a credentialName.'),
  LTN2302: error(
    'a server of protocol {protocol} cannot have tls',
    'Use protocol HTTPS or TLS, or remove tls (httpsRedirect excepted).',
  ),
  LTN2303: error('several sources of certificates are set: {fields}', 'Keep one of them.'),
  LTN2304: warning(
    '{value}: {problem}',
    'Known cipher suites are the OpenSSL names that BoringSSL supports.',
  ),

  LTN2401: error(
    'several hosts share a port that is neither HTTP nor TLS',
    'Make one ServiceEntry per host.',
  ),

  LTN2501: warning(
    'this rule denies all traffic to TCP ports, because it has only HTTP attributes and action is DENY',
    'Name the ports it is meant for in to.operation.ports.',
  ),
  LTN2502: error(
    '{key} is not an attribute that policies know',
    'Did you mean {suggestion}?',
    'See the list of attributes for authorization conditions.',
  ),

  LTN2601: warning(
    'an EnvoyFilter depends on internals of the generated configuration, which change between versions',
    'Prefer another kind where one does the job; check the filter at each upgrade.',
  ),
  LTN2602: error('{match} does not fit applyTo {applyTo}', 'Match on {wanted}.'),
} as const satisfies Record<string, DiagnosticEntry>;
