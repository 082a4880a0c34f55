/**
 * House rules that a type checker does not see: the layer rule and the purity rule of layers.json, forbidden file
 * names, and the size budget per file. Fails when it saw no files, so that it can't pass by looking nowhere.
 * `--matrix` prints the layer matrix for ARCHITECTURE.md.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

interface Layers {
  readonly layers: Readonly<Record<string, readonly string[]>>;
  readonly pure: readonly string[];
}

const MAX_FILE_LINES = 400;
const FORBIDDEN_NAMES = /^(utils?|helpers?|common|types|manager|index|misc|shared)\.ts$/;
const IMPORT = /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)/g;
const IMPURE: readonly (readonly [RegExp, string])[] = [
  [/\bDate\.now\b|\bnew Date\(\s*\)/, 'reads the clock'],
  [/\bMath\.random\b/, 'uses randomness'],
  [/\bprocess\./, 'reads the process'],
  [/from 'node:(?!crypto|buffer)/, 'imports a Node module'],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask)\(/, 'uses a timer'],
  [/\basync\b|\bawait\b/, 'is asynchronous'],
];

const root = join(import.meta.dirname, '..');
const rules = JSON.parse(readFileSync(join(root, 'layers.json'), 'utf8')) as Layers;

function listFiles(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.parentPath.includes('node_modules'),
    )
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'));
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

function checkImports(file: string, text: string, problems: string[]): void {
  const layer = file.split('/')[1] ?? '';
  const allowed = rules.layers[layer];
  if (allowed === undefined) {
    problems.push(`${file}: folder '${layer}' is not in layers.json`);
    return;
  }
  for (const match of text.matchAll(IMPORT)) {
    const target = match[1] ?? match[2] ?? '';
    if (target.startsWith('../')) {
      if (!file.includes('/proto/')) problems.push(`${file}: '${target}': use #layer/file.ts across folders`);
    } else if (target.startsWith('#')) {
      const to = target.slice(1).split('/')[0] ?? '';
      if (to !== layer && to === 'main') problems.push(`${file}: nobody imports main`);
      else if (to !== layer && !allowed.includes(to) && !allowed.includes('*')) {
        problems.push(
          `${file}: layer ${layer} may not import ${to} (allowed: ${allowed.join(', ') || 'none'})`,
        );
      }
    }
  }
}

function checkPurity(file: string, text: string, problems: string[]): void {
  const layer = file.split('/')[1] ?? '';
  if (!rules.pure.includes(layer) || file.endsWith('.test.ts')) return;
  for (const [pattern, what] of IMPURE) {
    if (pattern.test(text)) problems.push(`${file}: pure layer ${layer} ${what}`);
  }
}

function printMatrix(): void {
  for (const [layer, allowed] of Object.entries(rules.layers)) {
    console.log(`| ${layer} | ${allowed.join(', ') || 'nothing'} |`);
  }
}

function main(): void {
  if (process.argv.includes('--matrix')) return printMatrix();
  const problems: string[] = [];
  const generated = (file: string): boolean => file.startsWith('src/proto/') || file.endsWith('.gen.ts');
  const files = ['src', 'test', 'tools', 'bench', 'samples']
    .flatMap(listFiles)
    .filter((file) => !generated(file));
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    const name = file.slice(file.lastIndexOf('/') + 1);
    if (FORBIDDEN_NAMES.test(name)) problems.push(`${file}: name it after the noun it holds`);
    if (!/^[a-z0-9.-]+$/.test(name)) problems.push(`${file}: file names are kebab-case`);
    const lines = text.split('\n').length - 1;
    if (lines > MAX_FILE_LINES) problems.push(`${file}: ${lines} lines, at most ${MAX_FILE_LINES}`);
    if (!file.startsWith('src/')) continue;
    const code = withoutComments(text);
    checkImports(file, code, problems);
    checkPurity(file, code, problems);
  }
  if (files.length === 0) problems.push('no files seen');
  for (const problem of problems) console.error(problem);
  console.log(`structure: ${files.length} files seen, ${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

main();
