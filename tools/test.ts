/**
 * Runs the tests. Pure suites (src, tools, samples, test/golden, test/property, test/ads) share one process: starting
 * a process per file costs twenty times more. Suites with real Envoys (test/envoy) get a process per file, one after
 * the other, so that they do not disturb each other's clocks. Ends with the counts; fails when no test ran.
 *
 * usage: node tools/test.ts [--pure | --envoy | --all] [pattern ...]   (pattern: part of a file's path)
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const root = join(import.meta.dirname, '..');
const PURE = [
  'src',
  'tools',
  'samples',
  'test/golden',
  'test/property',
  'test/ads',
  'test/agent',
  'test/schemas',
];
const ENVOY = ['test/envoy'];
const IS_LONG = process.env['LATEEN_LONG'] === '1';
/** Of one test; the long forms take their time. */
const FILE_LIMIT_MS = IS_LONG ? 3_600_000 : 240_000;
/** In the long form these take a minute per reader of bytes, so they run beside the others. */
const FUZZING = 'test/property/hostile-';

function findTests(folder: string, patterns: readonly string[]): string[] {
  try {
    return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)))
      .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
      .sort();
  } catch {
    return [];
  }
}

/** Runs node's test runner over some files and reads its closing counts. */
function runFiles(files: readonly string[], isolation: 'none' | 'process', counts: Counts): Promise<void> {
  const args = [
    '--test',
    `--test-isolation=${isolation}`,
    `--test-timeout=${FILE_LIMIT_MS}`,
    '--test-reporter=spec',
    '--test-concurrency=1',
    ...files,
  ];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: process.env,
    });
    let text = '';
    // Line by line: another runner may be printing too.
    createInterface(child.stdout).on('line', (line) => {
      text = `${text}${line}\n`.slice(-200_000);
      console.log(line);
    });
    child.on('close', (code) => {
      const count = (name: string): number =>
        Number(new RegExp(`^ℹ ${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
      const failed = count('fail') + count('cancelled');
      counts.passed += count('pass');
      counts.skipped += count('skipped') + count('todo');
      counts.failed += failed === 0 && code !== 0 ? 1 : failed;
      resolve();
    });
  });
}

async function runPure(files: readonly string[], counts: Counts): Promise<void> {
  const isBeside = (file: string): boolean => IS_LONG && file.startsWith(FUZZING);
  const parts = [files.filter(isBeside), files.filter((file) => !isBeside(file))];
  await Promise.all(parts.filter(({ length }) => length > 0).map((part) => runFiles(part, 'none', counts)));
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const patterns = args.filter((arg) => !arg.startsWith('--'));
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const started = performance.now();
  if (!args.includes('--envoy')) {
    const pure = PURE.flatMap((folder) => findTests(folder, patterns));
    await runPure(pure, counts);
  }
  if (!args.includes('--pure')) {
    for (const file of ENVOY.flatMap((folder) => findTests(folder, patterns)))
      await runFiles([file], 'process', counts);
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`tests took ${seconds} s on ${availableParallelism()} cores`);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
}

await main();
