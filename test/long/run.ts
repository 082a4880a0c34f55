/**
 * `npm run test:long`: every suite in its long form (LATEEN_LONG=1: more property runs, more requests), then the full
 * benchmark, and the figures written to docs/results.md with date and commit; what is written there by hand stays. Fails when a
 * suite or a count fails.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Run {
  readonly name: string;
  readonly code: number | null;
  readonly output: string;
}

interface BenchFigure {
  readonly case: string;
  readonly n: number;
  readonly lastAckMs: { readonly p50: number; readonly p99: number };
  readonly cpuMs: number;
  readonly recomputed: number;
  readonly encoded: number;
  readonly bytes: number;
  readonly rssMiB: { readonly controlPlane: number; readonly agent: number; readonly envoy: number };
}

const root = join(import.meta.dirname, '..', '..');
const page = join(root, 'docs', 'results.md');
/** From here on the page is written by hand. */
const BY_HAND = '## Single runs';

async function run(name: string, args: readonly string[]): Promise<Run> {
  console.log(`== ${name}`);
  const env = { ...process.env, LATEEN_LONG: '1' };
  const child = spawn(process.execPath, [...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    process.stdout.write(chunk);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { name, code, output };
}

/** What a test said of itself (`context.diagnostic`), which is where measured figures are. */
function diagnostics(output: string): string[] {
  const counts = /^ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /;
  return output
    .split('\n')
    .filter((line) => line.startsWith('ℹ ') && !counts.test(line))
    .map((line) => line.slice(2));
}

function report(tests: Run, bench: Run, figures: readonly BenchFigure[]): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: root,
    encoding: 'utf8',
  }).trim();
  const last = (output: string): string => output.trimEnd().split('\n').at(-1) ?? '';
  const rows = figures.map(
    (one) =>
      `| ${one.case} | ${one.n} | ${one.lastAckMs.p50} / ${one.lastAckMs.p99} | ${one.cpuMs} | ${one.recomputed} | ${one.encoded} | ` +
      `${one.bytes} | ${one.rssMiB.controlPlane} / ${one.rssMiB.agent} / ${one.rssMiB.envoy} |`,
  );
  return [
    '# Measured results',
    '',
    'The last run of `npm run test:long`. Machines are shared and noisy: CPU per change and counts are sturdy, wall times are not.',
    '',
    `- ${new Date().toISOString().slice(0, 10)}, commit ${commit}, Node ${process.version}`,
    `- tests: ${last(tests.output)}`,
    `- bench: ${last(bench.output)}`,
    '',
    '## Figures that tests print',
    '',
    ...diagnostics(tests.output).map((line) => `- ${line}`),
    '',
    '## Benchmark',
    '',
    '| case (services x endpoints) | proxies | last ACK p50 / p99 ms | CPU ms per change | recomputed | encoded | bytes | RSS MiB control plane / agent / Envoy |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

/** What stands on the page besides the figures of this run. */
function byHand(): string {
  const text = readFileSync(page, 'utf8');
  const from = text.indexOf(BY_HAND);
  return from < 0 ? '' : `\n${text.slice(from)}`;
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-long-'));
  const json = join(folder, 'bench.json');
  try {
    const tests = await run('tests', ['tools/test.ts']);
    const bench = await run('bench', ['bench/run.ts', '--json', json]);
    const figures = bench.code === 0 ? (JSON.parse(readFileSync(json, 'utf8')) as BenchFigure[]) : [];
    writeFileSync(page, `${report(tests, bench, figures)}${byHand()}`);
    const failed = [tests, bench].filter(({ code }) => code !== 0);
    console.log(`${2 - failed.length} passed, ${failed.length} failed`);
    process.exitCode = failed.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
