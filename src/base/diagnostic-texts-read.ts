/**
 * Texts of findings made while reading: files, YAML, schema, metadata (LTN1xxx).
 * Part of the catalogue in diagnostic-catalog.ts, which says how templates are filled.
 */
import type { DiagnosticEntry } from './diagnostic-catalog.ts';

function error(text: string, ...cures: readonly string[]): DiagnosticEntry {
  return { severity: 'error', text, cures, since: '0.1' };
}

function warning(text: string, ...cures: readonly string[]): DiagnosticEntry {
  return { severity: 'warning', text, cures, since: '0.1' };
}

function info(text: string, ...cures: readonly string[]): DiagnosticEntry {
  return { severity: 'info', text, cures, since: '0.1' };
}

/** Reading and schema. */
export const READ_TEXTS = {
  LTN1001: error(
    'the YAML cannot be read: {problem}',
    'Correct the syntax here; what this document said before stays in force.',
  ),
  LTN1002: error(
    'unknown field {field}',
    'Did you mean {suggestion}?',
    'Known fields here: {known}.',
    'Remove the field.',
  ),
  LTN1003: error(
    '{expected} wanted, found {found}',
    'Put quotes around the value, like {quoted}.',
    '{hint}',
    'Write {expected} here.',
  ),
  LTN1004: error(
    'unknown value {value}',
    'Did you mean {suggestion}? Known values: {known}.',
    'Known values: {known}.',
  ),
  LTN1005: error('only one of {fields} may be set', 'Keep one of them and remove the others.'),
  LTN1006: error('{value} is not a duration', 'Write a number with a unit: 500ms, 10s, 1m30s, 2h.'),
  LTN1007: error('{value} is out of range', 'Write a whole number from {min} to {max}.'),
  LTN1008: warning(
    'the number is written as text',
    'Remove the quotes; a Kubernetes cluster refuses text here.',
  ),
  LTN1009: error('the object is too large or nested too deeply ({limit})', 'Split it into several objects.'),
  LTN1010: error(
    'the value is not base64',
    'Encode the bytes as base64, for example with the base64 command.',
  ),
  LTN1011: error('{field} and {other} are the same field', 'Keep one of the two spellings.'),
  LTN1012: error('{field} is required', 'Add {field}; for example: {example}', 'Add {field}.'),
  LTN1013: error('{key} is not a valid key here: {expected} wanted', 'Write the key as {expected}.'),
  LTN1014: error('{value} is not a point in time', 'Write it as 2006-01-02T15:04:05Z.'),
  LTN1015: error(
    'more than {limit} findings in one object; the rest is not shown',
    'Correct the first ones, then check again.',
  ),

  LTN1101: error(
    'the document is not an object: found {found}',
    'Each document needs apiVersion, kind and metadata.',
  ),
  LTN1103: error(
    'unknown kind {kind}',
    'Did you mean {suggestion}?',
    'Check apiVersion and kind; `lateen api-resources` lists the kinds that are known.',
  ),
  LTN1104: info(
    'objects of kind {kind} are not used by the mesh on one machine; this one is ignored',
    '{advice}',
  ),
  LTN1105: error('{kind} has no version {apiVersion}', 'Write apiVersion: {known}'),
  LTN1106: error(
    '{name} is not a valid name',
    'Use at most {limit} lower-case letters, digits and {marks}, beginning and ending with a letter or digit.',
  ),
  LTN1107: error(
    '{namespace} is not a valid namespace',
    'Use at most 63 lower-case letters, digits and "-".',
  ),
  LTN1108: error(
    'label {label} is not valid: {problem}',
    'Keys are [prefix/]name, values at most 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit.',
  ),
  LTN1109: error(
    'annotation {annotation} is not valid: {problem}',
    'Keys are [prefix/]name with at most 63 letters, digits, "-", "_" and "." in the name.',
  ),
  LTN1110: warning('{kind} objects have no namespace; {namespace} is ignored', 'Remove metadata.namespace.'),
  LTN1111: error('annotation {annotation} may not be set here', 'Remove the annotation.'),
  LTN1112: error('annotation {annotation} has the value {value}', 'Write {expected}.'),

  LTN1201: error(
    '{object} is already defined in {file}',
    'Remove one of the two; until then the one in {file} counts.',
  ),
  LTN1202: error('the file is larger than {limit}', 'Split it into several files.'),
  LTN1203: error(
    'the folder has more than {limit} files; the others are not read',
    'Point to a smaller folder.',
  ),
  LTN1204: error('the file cannot be read: {problem}', 'Check that it exists and that you may read it.'),
  LTN1205: warning(
    'the file is empty; the objects that it held stay in force',
    'Delete the file to remove its objects.',
  ),
  LTN1206: error(
    'the file has more than {limit} documents; the others are not read',
    'Split it into several files.',
  ),
  LTN1207: error(
    'aliases (*name) expand to more than {limit} values',
    'Write the values out, or use fewer aliases.',
  ),
  LTN1208: error('an alias (*name) contains itself', 'Write the values out.'),
  LTN1209: error('{path} leads back to a folder above it; it is not followed', 'Remove the symbolic link.'),
  LTN1210: warning(
    'the folder {path} cannot be watched: {problem}',
    'Changes are still found, a few seconds late.',
  ),

  LTN1301: error(
    'the API server does not allow to {verb} {resource}; the mesh is served without them',
    'Grant the verbs get, list and watch on the resource {plural} of the API group "{group}" to {account}.',
    'Grant the verbs get, list and watch on the resource {plural} of the core API group to {account}.',
    'Grant the verbs get, list and watch on {resource}.',
  ),
  LTN1302: error(
    'the cluster serves {resource} in versions that are not known here ({versions}); its objects are not used',
    'Install the CRDs of a release that serves {known}.',
  ),
} as const satisfies Record<string, DiagnosticEntry>;
