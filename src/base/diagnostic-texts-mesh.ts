/**
 * Texts of findings about mesh config (LTN4xxx), and of those that only the whole mesh shows (LTN29xx, LTN50xx): objects that are well formed by themselves and
 * clash with others. Part of the catalogue in diagnostic-catalog.ts.
 */
import type { DiagnosticEntry } from './diagnostic-catalog.ts';

function warning(text: string, ...cures: readonly string[]): DiagnosticEntry {
  return { severity: 'warning', text, cures, since: '0.1' };
}

/** Findings about objects among others. */
export const MESH_TEXTS = {
  LTN2901: {
    severity: 'error',
    text: 'the external authorizer {provider} cannot be asked, so what this policy selects is denied: {reason}',
    cures: [
      'Define the provider once under extensionProviders of the mesh config, with the host and port of a service.',
    ],
    since: '0.1',
  },
  LTN2902: {
    severity: 'error',
    text: 'the keys of {source} could not be fetched, so no token is valid: {reason}',
    cures: ['Make the key set reachable for the control plane, or write it into jwks.'],
    since: '0.2',
  },
  LTN2903: warning(
    'the keys of {source} could not be fetched again; those from before stay in use: {reason}',
    'Make the key set reachable for the control plane.',
  ),
  LTN4001: {
    severity: 'info',
    text: 'the extension provider {name} cannot be used: {problem}',
    cures: ['Correct it; nothing else in the mesh config is concerned.'],
    since: '0.1',
  },
  LTN4003: {
    severity: 'info',
    text: '{field} has no effect: {reason}',
    cures: ['Correct it, or remove it.'],
    since: '0.1',
  },
  LTN5001: warning(
    'the delegate {delegate} is not exported to the namespace of the VirtualService that names it',
    'Add the namespace to exportTo of the delegate.',
  ),
  LTN5002: warning(
    'a rule of this delegate can never match under {root}, whose match excludes it',
    'Make the match of the delegate narrower than the match that delegates to it.',
  ),
  LTN5003: warning('a delegate of a delegate is ignored', 'Delegate from the first VirtualService only.'),
  LTN5010: warning(
    'port {port} is already used with protocol {protocol} by an older Gateway; this server is left out',
    'Use another port, or the same protocol.',
  ),
  LTN5011: warning(
    'the https port name {portName} on port {port} is taken by another server of this Gateway; this one is left out',
    'Give each https server a port name of its own.',
  ),
  LTN5012: warning(
    'the TLS host {host} is already taken on port {port}; this server is left out',
    'Keep one server per host and port.',
  ),
  LTN5013: warning(
    'port {port} is one of the first 1024, which proxies of this gateway must not bind; this server is left out there',
    'Use a Service that leads to a higher targetPort, or let the pods bind low ports.',
  ),
  LTN5020: warning(
    '{refval} holds no {wanted}, so connections that need it are refused',
    'Put it in under the keys {keys}.',
  ),
  LTN5021: warning(
    'proxies of service account {serviceAccount} may not have {refval}',
    'Put the Secret into the namespace {namespace} of the proxies and let the service account list Secrets there, or grant the reference by a ReferenceGrant.',
  ),
  LTN5030: warning(
    'clients reach {host} with tls mode {mode}, but {policy} lets in mutual TLS of the mesh only: their calls fail',
    'Set tls mode ISTIO_MUTUAL, or leave tls out: mutual TLS is used where servers take it.',
  ),
  LTN5031: warning(
    'clients reach {host} with tls mode {mode}, but {policy} turns mutual TLS off there: their calls fail',
    'Leave tls out: mutual TLS is used where servers take it.',
  ),
} as const satisfies Record<string, DiagnosticEntry>;
