/**
 * How plain YAML words become values: exactly as kubectl and istioctl read them (sigs.k8s.io/yaml on go-yaml v2), which
 * is YAML 1.1 with differences: `yes`, `on` and `y` are true, 010 is 8, 1_000 is 1000, dates and 1:20 stay text.
 * Source: go.yaml.in/yaml/v2 resolve.go. Pinned by tests.
 */
import {
  boolYaml11Tag,
  defineScalarTag,
  mapTag,
  mergeTag,
  NOT_RESOLVED,
  nullCoreTag,
  Schema,
  seqTag,
  strTag,
} from 'js-yaml';

const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const INTEGER = /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))$/;
const NOT_FINITE: ReadonlyMap<string, number> = new Map(
  ['inf', 'Inf', 'INF'].flatMap((word) => [
    [`.${word}`, Number.POSITIVE_INFINITY] as const,
    [`+.${word}`, Number.POSITIVE_INFINITY] as const,
    [`-.${word}`, Number.NEGATIVE_INFINITY] as const,
  ]),
);
const NOT_A_NUMBER: ReadonlySet<string> = new Set(['.nan', '.NaN', '.NAN']);
const NUMBER_STARTS: readonly string[] = ['-', '+', '.', ...'0123456789'];

/** The value of a plain word that is a number to go-yaml v2. */
function resolveNumber(source: string): number | typeof NOT_RESOLVED {
  if (NOT_A_NUMBER.has(source)) return Number.NaN;
  const special = NOT_FINITE.get(source);
  if (special !== undefined) return special;
  const plain = source.startsWith('.') ? source : source.replaceAll('_', '');
  const match = INTEGER.exec(plain);
  if (match !== null) {
    const [, sign, hex, binary, octal, decimal] = match;
    const digits = hex ?? binary ?? octal ?? decimal ?? '';
    const base = hex !== undefined ? 16 : binary !== undefined ? 2 : octal !== undefined ? 8 : 10;
    const number = Number.parseInt(digits, base);
    return sign === '-' ? -number : number;
  }
  return FLOAT.test(plain) ? Number(plain) : NOT_RESOLVED;
}

const numberTag = defineScalarTag<number>('tag:yaml.org,2002:float', {
  implicit: true,
  implicitFirstChars: NUMBER_STARTS,
  resolve: resolveNumber,
  identify: () => false,
});

const integerTag = defineScalarTag<number>('tag:yaml.org,2002:int', {
  resolve: resolveNumber,
  identify: () => false,
});

/** Schema of all YAML that users write. */
export const KUBERNETES_SCHEMA: Schema = new Schema([
  strTag,
  nullCoreTag,
  boolYaml11Tag,
  numberTag,
  integerTag,
  mergeTag,
  seqTag,
  mapTag,
]);
