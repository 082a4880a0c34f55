/** Checks values against the JSON schemas of docs/schemas: the keywords that those use, and an error for any other. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './standalone-rig.ts';

type Schema = Readonly<Record<string, unknown>>;

const ANNOTATIONS = ['$schema', '$defs', 'title', 'description'];

/** Problems of a value against docs/schemas/NAME.schema.json; none when it fits. */
export function schemaProblems(name: string, value: unknown): readonly string[] {
  const root = JSON.parse(readFileSync(join(ROOT, 'docs/schemas', `${name}.schema.json`), 'utf8')) as Schema;
  return check(root, value, '$', root);
}

function check(schema: Schema, value: unknown, path: string, root: Schema): string[] {
  return Object.entries(schema).flatMap(([keyword, rule]) =>
    checkKeyword(keyword, rule, schema, value, path, root),
  );
}

function checkKeyword(
  ...[keyword, rule, schema, value, path, root]: [string, unknown, Schema, unknown, string, Schema]
): string[] {
  const bad = (problem: string): string[] => [`${path}: ${problem}, it is ${JSON.stringify(value)}`];
  const fields =
    typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  if (ANNOTATIONS.includes(keyword)) return [];
  switch (keyword) {
    case 'type':
      return hasType(value, rule) ? [] : bad(`${rule} wanted`);
    case 'enum':
      return (rule as unknown[]).includes(value) ? [] : bad(`one of ${rule} wanted`);
    case 'const':
      return value === rule ? [] : bad(`${rule} wanted`);
    case 'pattern':
      return new RegExp(rule as string).test(String(value)) ? [] : bad(`${rule} wanted`);
    case 'minimum':
      return Number(value) >= Number(rule) ? [] : bad(`at least ${rule} wanted`);
    case 'maximum':
      return Number(value) <= Number(rule) ? [] : bad(`at most ${rule} wanted`);
    case 'required':
      return (rule as string[])
        .filter((name) => !(name in fields))
        .map((name) => `${path}: ${name} is missing`);
    case 'properties':
      return Object.entries(rule as Record<string, Schema>).flatMap(([name, one]) =>
        name in fields ? check(one, fields[name], `${path}.${name}`, root) : [],
      );
    case 'additionalProperties':
      return extraProperties(schema, rule, fields, path, root);
    case 'items':
      return Array.isArray(value)
        ? value.flatMap((one, index) => check(rule as Schema, one, `${path}[${index}]`, root))
        : [];
    case 'anyOf':
      return (rule as Schema[]).some((one) => check(one, value, path, root).length === 0)
        ? []
        : bad('fits no alternative');
    case '$ref':
      return check(
        (root['$defs'] as Record<string, Schema>)[String(rule).slice('#/$defs/'.length)] ?? {},
        value,
        path,
        root,
      );
    default:
      return [`${path}: the check does not know the keyword ${keyword}`];
  }
}

function hasType(value: unknown, type: unknown): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function extraProperties(
  schema: Schema,
  rule: unknown,
  fields: Readonly<Record<string, unknown>>,
  path: string,
  root: Schema,
): string[] {
  const known = Object.keys((schema['properties'] ?? {}) as object);
  const extra = Object.keys(fields).filter((name) => !known.includes(name));
  if (rule === true) return [];
  if (rule === false) return extra.map((name) => `${path}: ${name} is not in the schema`);
  return extra.flatMap((name) => check(rule as Schema, fields[name], `${path}.${name}`, root));
}
