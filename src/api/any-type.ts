/**
 * The type of a message in an Any as JSON has it, `"@type": "type.googleapis.com/envoy…"`. Part of schema-decode.ts.
 */
import type { DescMessage, Registry } from '@bufbuild/protobuf';
import { fieldPath } from './field-path.ts';
import { type Findings, show } from './findings.ts';
import type { JsonObject } from './json-scalar.ts';
import { suggest } from './suggestion.ts';

const TYPE = '@type';
/** Looking for the nearest of all types takes milliseconds, so an object full of unknown ones gets a few suggestions. */
const MAX_SUGGESTIONS = 10;
/** Types of Envoy's API before v3, which no Envoy knows any more. */
const OLD_API = /\.v[12](alpha\d*|beta\d*)?\./;

/** Looks the type up; undefined with a finding when it is missing or unknown. */
export function readAnyType(
  registry: Registry,
  object: JsonObject,
  path: string,
  findings: Findings,
): DescMessage | undefined {
  const url = object[TYPE];
  if (typeof url !== 'string' || url === '') {
    findings.missing(path, TYPE, '"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua');
    return undefined;
  }
  const name = url.slice(url.lastIndexOf('/') + 1);
  const desc = registry.getMessage(name);
  if (desc !== undefined) return desc;
  const hint = OLD_API.test(name) ? 'Use the type of the v3 API.' : '';
  const suggestion =
    findings.all.length < MAX_SUGGESTIONS ? (suggest(name, messageNames(registry)) ?? '') : '';
  findings.add('LTN2604', fieldPath(path, TYPE), { type: show(url), hint, suggestion });
  return undefined;
}

function messageNames(registry: Registry): string[] {
  return [...registry].filter(({ kind }) => kind === 'message').map(({ typeName }) => typeName);
}
