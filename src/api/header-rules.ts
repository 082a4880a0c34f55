/**
 * Rules for HTTP headers in matches and operations, and for header values with Envoy's %COMMANDS%.
 * Source: istio pkg/config/validation/validation.go (header names) and the grammar of Envoy's header formatter.
 */
import { fieldPath } from './field-path.ts';
import { type Findings, show } from './findings.ts';

const TOKEN = /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/;
const STRICT_NAME = /^[-_A-Za-z0-9]+$/;
const PROBE_NAME = /^[-A-Za-z0-9]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the characters that a header value may not have
const FORBIDDEN_IN_VALUE = /[\u0000-\u0008\u000a-\u001f\u007f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: what ends a header, which Envoy refuses anywhere in one
const BREAKS_LINE = /[\u0000\r\n]/;
const PSEUDO_HEADERS: ReadonlySet<string> = new Set([':method', ':scheme', ':authority', ':path', ':status']);
const JWT_CLAIM_PREFIX = '@request.auth.claims';

/** Header operations on requests and responses. */
interface HeaderOperations {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
}

/** True for the special name that matches a JWT claim: @request.auth.claims.sub or @request.auth.claims[a][b]. */
export function isJwtClaimHeader(name: string): boolean {
  if (!name.toLowerCase().startsWith(JWT_CLAIM_PREFIX)) return false;
  const rest = name.slice(JWT_CLAIM_PREFIX.length);
  return (
    (rest.startsWith('.') && rest.length > 1) ||
    (rest.startsWith('[') && rest.endsWith(']') && rest.length > 2)
  );
}

/** True for the two spellings of the authority. */
export function isAuthorityHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === ':authority' || lower === 'host';
}

/** A header name in a match: a token, a pseudo header or a JWT claim. */
export function checkMatchHeaderName(name: string, path: string, findings: Findings): void {
  if (isJwtClaimHeader(name) || PSEUDO_HEADERS.has(name) || TOKEN.test(name)) return;
  findings.add('LTN2050', path, { header: show(name) });
}

/** A text that becomes (a part of) a header: without line breaks, or Envoy refuses it. */
export function checkHeaderText(text: string | undefined, path: string, findings: Findings): void {
  if (!BREAKS_LINE.test(text ?? '')) return;
  const cure = 'Remove the line break.';
  findings.add('LTN2034', path, { value: show(text), problem: 'a header cannot hold a line break', cure });
}

/** A header name of letters, digits, "-" and "_" only. */
export function checkStrictHeaderName(name: string, path: string, findings: Findings): void {
  if (!STRICT_NAME.test(name)) findings.add('LTN2050', path, { header: show(name) });
}

/** A header name of letters, digits and "-" only, as probes have them. */
export function checkProbeHeaderName(name: string, path: string, findings: Findings): void {
  if (!PROBE_NAME.test(name)) findings.add('LTN2050', path, { header: show(name) });
}

/** A header name in a CORS policy: a token or `*`. */
export function checkCorsHeaderName(name: string, path: string, findings: Findings): void {
  if (name !== '*' && !TOKEN.test(name)) findings.add('LTN2050', path, { header: show(name) });
}

/** Names and values of header operations; only requests may set the authority, and only by set or add. */
export function checkHeaderOperations(
  headers: { readonly request?: HeaderOperations; readonly response?: HeaderOperations } | undefined,
  path: string,
  findings: Findings,
): void {
  for (const side of ['request', 'response'] as const) {
    const operations = headers?.[side];
    for (const action of ['add', 'set'] as const) {
      const values = operations?.[action] ?? {};
      for (const name of Object.keys(values)) {
        const at = fieldPath(`${path}.${side}.${action}`, name);
        checkChangeable(name, side === 'request', at, findings);
        checkHeaderValue(values[name] ?? '', at, findings);
      }
    }
    for (const [index, name] of (operations?.remove ?? []).entries()) {
      checkChangeable(name, false, `${path}.${side}.remove[${index}]`, findings);
    }
  }
}

function checkChangeable(name: string, mayBeAuthority: boolean, path: string, findings: Findings): void {
  if (name === '' || BREAKS_LINE.test(name)) findings.add('LTN2050', path, { header: show(name) });
  else if (
    (name.startsWith(':') || isAuthorityHeader(name)) &&
    !(mayBeAuthority && isAuthorityHeader(name))
  ) {
    findings.add('LTN2051', path, { header: show(name) });
  }
}

function checkHeaderValue(value: string, path: string, findings: Findings): void {
  const problem = FORBIDDEN_IN_VALUE.test(value) ? 'it has control characters' : formatProblem(value);
  if (problem !== '') findings.add('LTN2052', path, { value: show(value), problem });
}

type FormatState = 'literal' | 'name' | 'arguments' | 'text' | 'item' | 'itemEnd' | 'close' | 'end';

/** Where the formatter stands after a character; a text of several words is a problem. */
const NEXT_STATE: Readonly<Record<FormatState, (char: string) => FormatState | string>> = {
  literal: (char) => (char === '%' ? 'name' : 'literal'),
  name: (char) => (char === '%' ? 'literal' : char === '(' ? 'arguments' : 'name'),
  arguments: (char) => (char === '[' ? 'item' : char === ' ' ? 'arguments' : 'text'),
  text: (char) => (char === ')' ? 'end' : char === '"' ? 'itemEnd' : 'text'),
  item: (char) => (char === '"' ? 'text' : char === ' ' ? 'item' : 'a quote was expected in the list'),
  itemEnd: (char) =>
    char === ',' ? 'item' : char === ']' ? 'close' : char === ' ' ? 'itemEnd' : 'a comma or ] was expected',
  close: (char) => (char === ')' ? 'end' : char === ' ' ? 'close' : ') was expected'),
  end: (char) => (char === '%' ? 'literal' : char === ' ' ? 'end' : 'a closing % was expected'),
};

/**
 * Why Envoy's header formatter would refuse the value; '' when it would not. Literals, %%, %NAME%, %NAME(argument)%
 * and %NAME(["a","b"])%, with backslash escapes inside arguments. Cost: one pass.
 */
export function formatProblem(value: string): string {
  let state: FormatState = 'literal';
  for (let at = 0; at < value.length; at++) {
    const char = value[at] as string;
    if (state === 'literal' && char === '%' && at === value.length - 1) return 'a single % at the end';
    if (state === 'literal' && char === '%' && value[at + 1] === '%') at++;
    else if (state === 'text' && char === '\\') {
      if (at === value.length - 1) return 'a backslash at the end';
      at++;
    } else {
      const next = NEXT_STATE[state](char);
      if (!Object.hasOwn(NEXT_STATE, next)) return next;
      state = next as FormatState;
    }
  }
  return state === 'literal' ? '' : 'a %NAME% is not closed';
}
