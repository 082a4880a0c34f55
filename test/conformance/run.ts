/**
 * Runs a conformance suite and prints what passed, failed and was skipped; exit code 1 when something failed or nothing ran.
 *
 * usage: npm run conformance -- --suite NAME [--dir DIR] [--case GLOB] [--tag T] [--not-tag T] [--json FILE] [--dump DIR]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { parseArgs } from 'node:util';
import { AUTHZ } from './authz.ts';
import { ROUTER } from './router.ts';
import { SERVICE_REGISTRY } from './serviceregistry.ts';
import type { ConformanceCase, Suite } from './suite.ts';
import { VALIDATION } from './validation.ts';
import { XDS } from './xds.ts';

interface Entry {
  readonly case: string;
  readonly reason: string;
}

/** The form that --json writes. */
interface Report {
  readonly suite: string;
  readonly total: number;
  readonly passed: number;
  readonly failed: readonly Entry[];
  readonly skipped: readonly Entry[];
  /** What the comparison left out on purpose, with how often. */
  readonly ignored: Readonly<Record<string, number>>;
}

const root = join(import.meta.dirname, '../..');
const SUITES: readonly Suite[] = [SERVICE_REGISTRY, XDS, ROUTER, VALIDATION, AUTHZ];
const SHOWN_DIFFERENCES = 6;

const { values: options } = parseArgs({
  options: {
    suite: { type: 'string' },
    dir: { type: 'string', default: join(root, '../shared/conformance') },
    case: { type: 'string', default: '**' },
    tag: { type: 'string' },
    'not-tag': { type: 'string' },
    json: { type: 'string' },
    dump: { type: 'string' },
  },
});

/** Cases that are right to differ: `{suite: {case: reason}}`. */
function readDifferences(suite: string): Readonly<Record<string, string>> {
  const file = join(import.meta.dirname, 'differences.json');
  const all = JSON.parse(readFileSync(file, 'utf8')) as Readonly<
    Record<string, Readonly<Record<string, string>>>
  >;
  return all[suite] ?? {};
}

function isWanted({ name, tags, needs }: ConformanceCase): boolean {
  const all = [...tags, ...needs];
  const { tag, 'not-tag': notTag } = options;
  return (
    matchesGlob(name, options.case) &&
    (tag === undefined || all.includes(tag)) &&
    (notTag === undefined || !all.includes(notTag))
  );
}

function runSuite(suite: Suite, dir: string): Report {
  const differences = readDifferences(suite.name);
  const ignored = new Map<string, number>();
  const failed: Entry[] = [];
  const skipped: Entry[] = [];
  const cases = suite.cases(dir).filter(isWanted);
  for (const item of cases) {
    const needs = item.needs.filter((need) => suite.missing.includes(need));
    const difference = item.skip ?? differences[item.name];
    if (needs.length > 0) skipped.push({ case: item.name, reason: `needs: ${needs.join(', ')}` });
    else if (difference !== undefined) skipped.push({ case: item.name, reason: difference });
    else {
      const found = runCase(item, ignored);
      if (found.length > 0) failed.push({ case: item.name, reason: summary(found) });
    }
  }
  const passed = cases.length - failed.length - skipped.length;
  return {
    suite: suite.name,
    total: cases.length,
    passed,
    failed,
    skipped,
    ignored: Object.fromEntries(ignored),
  };
}

function runCase(item: ConformanceCase, ignored: Map<string, number>): readonly string[] {
  try {
    return item.run({
      ignore: (what) => ignored.set(what, (ignored.get(what) ?? 0) + 1),
      dump(caseName, file, value) {
        if (options.dump === undefined) return;
        mkdirSync(join(options.dump, caseName), { recursive: true });
        writeFileSync(
          join(options.dump, caseName, `${file}.json`),
          `${JSON.stringify(value, undefined, 1)}\n`,
        );
      },
    });
  } catch (error) {
    return [`threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`];
  }
}

function summary(found: readonly string[]): string {
  const rest = found.length - SHOWN_DIFFERENCES;
  const more = rest > 0 ? [`and ${rest} more`] : [];
  return [...found.slice(0, SHOWN_DIFFERENCES), ...more].join('\n');
}

function print(report: Report): void {
  for (const entry of report.failed)
    console.log(`FAILED ${entry.case}\n  ${entry.reason.replaceAll('\n', '\n  ')}`);
  for (const entry of report.skipped) console.log(`skipped ${entry.case}: ${entry.reason}`);
  for (const [what, count] of Object.entries(report.ignored)) console.log(`ignored ${count} x ${what}`);
  const { suite, total, passed, failed, skipped } = report;
  console.log(
    `${suite}: ${total} cases, ${passed} passed, ${failed.length} failed, ${skipped.length} skipped`,
  );
}

function main(): number {
  const suite = SUITES.find(({ name }) => name === options.suite);
  if (suite === undefined) {
    console.error(`--suite must be one of: ${SUITES.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  if (!existsSync(join(options.dir, suite.name))) {
    console.error(`no conformance data: ${join(options.dir, suite.name)} is not there (see --dir)`);
    return 1;
  }
  const report = runSuite(suite, options.dir);
  print(report);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 1)}\n`);
  return report.failed.length > 0 || report.passed === 0 ? 1 : 0;
}

process.exitCode = main();
