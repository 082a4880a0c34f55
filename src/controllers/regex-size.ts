/**
 * Finds regular expressions that Envoy is known to refuse before any proxy sees them: those whose compiled program is
 * beyond its limit. RE2 has at least one instruction per character that the expanded expression consumes, so what is
 * refused here is refused by Envoy; what lies between that and RE2's true size is left to Envoy's own answer.
 * Costs a compilation, and that only for expressions with counted repetitions: others can't grow so large.
 */
import { RE2JS } from 're2js';
import type { MeshObject } from '#api/mesh-object.ts';
import { MAX_REGEX_PROGRAM_SIZE } from './probe-bootstrap.ts';

/** Kinds whose expressions reach Envoy as they are written. */
const KINDS: ReadonlySet<string> = new Set(['VirtualService']);
const MAX_DEPTH = 32;
const MAX_SHOWN_CHARACTERS = 200;

/** The part of re2js's compiled form that is read. */
interface RegexProgram {
  readonly inst: readonly { readonly op: number }[];
}

/** Opcodes of re2js that consume a character: RUNE, RUNE1, RUNE_ANY, RUNE_ANY_NOT_NL. */
const CONSUMING: ReadonlySet<number> = new Set([8, 9, 10, 11]);

/** What is wrong with an object's regular expressions; undefined when nothing is known to be. */
export function tooLargeRegex(object: MeshObject): string | undefined {
  if (!KINDS.has(object.kind)) return undefined;
  for (const regex of regexesOf(object.spec, 0)) {
    const size = leastProgramSize(regex);
    if (size > MAX_REGEX_PROGRAM_SIZE) {
      const shown = regex.length > MAX_SHOWN_CHARACTERS ? `${regex.slice(0, MAX_SHOWN_CHARACTERS)}…` : regex;
      return `regex '${shown}' RE2 program size of at least ${size} > max program size of ${MAX_REGEX_PROGRAM_SIZE}`;
    }
  }
  return undefined;
}

/** A lower bound of RE2's program size; 0 when there is no need to look or it does not compile. */
export function leastProgramSize(regex: string): number {
  if (!/[{]\d/.test(regex)) return 0;
  try {
    // Its own programSize() counts instructions that RE2's flattened programs do without.
    const { inst } = RE2JS.compile(regex).re2Input.prog as RegexProgram;
    return inst.filter(({ op }) => CONSUMING.has(op)).length;
  } catch {
    return 0;
  }
}

/** Texts under `regex`, and what a regex rewrite matches, wherever they stand. */
function* regexesOf(value: unknown, depth: number): Iterable<string> {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'regex' && typeof inner === 'string') yield inner;
    else if (key === 'uriRegexRewrite')
      yield* regexesOf({ regex: (inner as { match?: unknown }).match }, depth);
    else yield* regexesOf(inner, depth + 1);
  }
}
