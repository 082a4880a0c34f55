/**
 * Texts of findings about EnvoyFilters beyond the rules of the kind (LTN26xx): their patch values as Envoy's messages, and
 * what becomes of the patches. Part of the catalogue in diagnostic-catalog.ts.
 */
import type { DiagnosticEntry } from './diagnostic-catalog.ts';

function entry(
  severity: DiagnosticEntry['severity'],
  text: string,
  ...cures: readonly string[]
): DiagnosticEntry {
  return { severity, text, cures, since: '0.1' };
}

/** Patches of EnvoyFilters. */
export const ENVOY_FILTER_TEXTS = {
  LTN2603: entry(
    'warning',
    'Envoy has no field {field} here; it is left out',
    'Did you mean {suggestion}?',
    'Known fields here: {known}.',
    'Remove the field.',
  ),
  LTN2604: entry(
    'error',
    'the type {type} is unknown',
    '{hint}',
    'Did you mean {suggestion}?',
    'Use a type of the Envoy release that is pinned here.',
  ),
  LTN2605: entry('warning', '{name} is a deprecated filter name, which matches nothing', 'Use {instead}.'),
  LTN2606: entry(
    'warning',
    '{name} has no typed_config; Envoy no longer finds extensions by their name',
    'Add typed_config with the "@type" of the extension.',
  ),
  LTN2607: entry(
    'warning',
    'proxyVersion is longer than {limit} characters; the patch applies to no proxy',
    'Write a shorter expression, such as ^1\\.30.',
  ),
  LTN2608: entry('info', '{operation} does nothing with applyTo {applyTo}', '{cure}', 'Remove the patch.'),
  LTN2609: entry(
    'warning',
    'the patch changes nothing at the {proxies} connected proxies that it is for',
    'Compare match, and the "@type" of a value that is merged, with the configuration of the proxies (config_dump).',
  ),
} as const satisfies Record<string, DiagnosticEntry>;
