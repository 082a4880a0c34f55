/**
 * Texts of findings about core Kubernetes kinds and LocalWorkload (LTN3xxx), and about mesh config (LTN4xxx).
 * Part of the catalogue in diagnostic-catalog.ts.
 */
import type { DiagnosticEntry } from './diagnostic-catalog.ts';

function error(text: string, ...cures: readonly string[]): DiagnosticEntry {
  return { severity: 'error', text, cures, since: '0.1' };
}

function warning(text: string, ...cures: readonly string[]): DiagnosticEntry {
  return { severity: 'warning', text, cures, since: '0.1' };
}

/** Core kinds, LocalWorkload, mesh config. */
export const CORE_TEXTS = {
  LTN3001: error(
    'the service has several ports, so each needs a name',
    'Add name to each port, for example http-web.',
  ),
  LTN3002: error('a service of type ExternalName needs externalName', 'Add spec.externalName.'),
  LTN3003: error('the service has no ports', 'Add ports, or write clusterIP: None.'),
  LTN3004: error(
    '{value} is not a valid target port',
    'Write a number, or a port name of at most 15 lower-case letters, digits and "-".',
  ),

  LTN3101: error('command is required', 'Add the program to run, for example command: [node, server.js].'),
  LTN3102: error(
    '{field} does not belong to a gateway, which runs Envoy alone',
    'Remove {field}, or remove type: gateway.',
  ),
  LTN3103: error(
    'readiness needs exactly one of http and tcp',
    'Write readiness: {http: {path: /, port: 8080}} or readiness: {tcp: {port: 8080}}.',
  ),
  LTN3104: error(
    '{name} is not a valid name of an environment variable',
    'Use letters, digits and "_", not beginning with a digit.',
  ),
  LTN3105: warning(
    'no label: no Service can select this workload',
    'Add metadata.labels, for example app: {name}.',
  ),
  LTN3106: error('{path} is not a path of a request', 'Begin it with "/".'),

  LTN4001: warning('{field} is kept but not honoured yet', 'Remove it if you rely on its effect.'),
  LTN4002: error(
    'the provider {provider} has no kind, or an unknown one',
    'Set one of the provider kinds, for example envoyFileAccessLog.',
  ),
} as const satisfies Record<string, DiagnosticEntry>;
