/**
 * Golden tests: what the proxies of a case get, as YAML beside the case. UPDATE_GOLDEN=1 writes the files anew (never in
 * CI); read the difference before you keep it. Files that no case accounts for fail, and so does a file too long to read.
 */
import { strictEqual } from 'node:assert';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { JsonValue } from '@bufbuild/protobuf';
import { stringify } from 'yaml';
import type { PlainSnapshot, SnapshotPart } from '../support/mesh-fixture.ts';
import { condensed } from './condensed.ts';
import { GOLDEN_FOLDER, type GoldenCase, goldenCases, goldenFeatures } from './golden-case.ts';

const MAX_LINES = 300;
const rewrites = process.env['UPDATE_GOLDEN'] === '1';
if (rewrites && process.env['CI'] !== undefined) throw new Error('goldens are not rewritten in CI');

/** Text of each file that a case accounts for, by path. */
function outputsOf(golden: GoldenCase): ReadonlyMap<string, string> {
  const fixture = golden.start();
  const snapshots = golden.header.proxies.map(({ name }) => [name, fixture.snapshot(name)] as const);
  const files = new Map<string, string>();
  for (const [part, patterns] of Object.entries(golden.header.show) as [SnapshotPart, readonly string[]][]) {
    const shown = withChains(golden.header.chains, shownResources(part, patterns, snapshots));
    const text = stringify(shown, { lineWidth: 0, aliasDuplicateObjects: false });
    files.set(join(GOLDEN_FOLDER, golden.feature, `${golden.name}.${part}.yaml`), text);
  }
  return files;
}

/** The resources by proxy and name. A pattern that finds nothing at any proxy is a mistake. */
function shownResources(
  part: SnapshotPart,
  patterns: readonly string[],
  snapshots: readonly (readonly [string, PlainSnapshot])[],
): JsonValue {
  for (const pattern of patterns) {
    const isFound = snapshots.some(([, snapshot]) =>
      Object.keys(snapshot[part]).some((name) => matches(pattern, name)),
    );
    if (!isFound) {
      const names = snapshots.map(
        ([proxy, snapshot]) => `${proxy}: ${Object.keys(snapshot[part]).join(', ')}`,
      );
      throw new Error(`no proxy has ${part} ${pattern}\n${names.join('\n')}`);
    }
  }
  const proxies = snapshots.map(([proxy, snapshot]) => {
    const resources = Object.entries(snapshot[part]).filter(([name]) =>
      patterns.some((pattern) => matches(pattern, name)),
    );
    return [
      proxy,
      Object.fromEntries(resources.map(([name, json]) => [name, condensed(json as JsonValue)])),
    ] as const;
  });
  return Object.fromEntries(proxies);
}

/** Leaves out the filter chains that the case is not about. */
function withChains(patterns: readonly string[] | undefined, value: JsonValue): JsonValue {
  if (patterns === undefined || typeof value !== 'object' || value === null || Array.isArray(value))
    return value;
  const fields = Object.entries(value).map(([field, inner]) => {
    if (field !== 'filterChains' || !Array.isArray(inner))
      return [field, withChains(patterns, inner)] as const;
    const kept = (inner as { readonly name?: string }[]).filter(({ name = '' }) =>
      patterns.some((pattern) => matches(pattern, name)),
    );
    return [field, kept as JsonValue] as const;
  });
  return Object.fromEntries(fields);
}

function matches(pattern: string, name: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return pattern === name;
  const tail = rest.join('*');
  return name.startsWith(head) && name.endsWith(tail) && name.length >= head.length + tail.length;
}

function checkOutput(path: string, text: string): void {
  if (rewrites) writeFileSync(path, text);
  const expected = existsSync(path) ? readFileSync(path, 'utf8') : '';
  strictEqual(text, expected, `${path} differs; UPDATE_GOLDEN=1 rewrites it`);
  const lines = text.split('\n').length;
  strictEqual(lines <= MAX_LINES, true, `${path} has ${lines} lines: nobody reads more than ${MAX_LINES}`);
}

for (const feature of goldenFeatures()) {
  const known = new Set<string>();
  for (const golden of goldenCases(feature)) {
    known.add(`${golden.name}.in.yaml`);
    for (const part of Object.keys(golden.header.show)) known.add(`${golden.name}.${part}.yaml`);
    test(`golden ${feature}/${golden.name}`, () => {
      for (const [path, text] of outputsOf(golden)) checkOutput(path, text);
    });
  }
  test(`golden ${feature}: every file belongs to a case`, () => {
    const strange = readdirSync(join(GOLDEN_FOLDER, feature)).filter((file) => !known.has(file));
    strictEqual(strange.join(', '), '');
    strictEqual(known.size > 0, true);
  });
}
