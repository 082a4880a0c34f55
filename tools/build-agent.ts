/**
 * Bundles src/main/pilot-agent.ts into dist/pilot-agent.cjs, one file that needs nothing but Node. Fails when something of the
 * control plane (generated Envoy types, model, ADS, an ASN.1 library) has come in, and prints the size. CommonJS on purpose: importing a
 * node: module from an ES module evaluates all its exports, `node:http` then loads a WebSocket client nobody uses (5 MB per sidecar).
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const outFile = 'dist/pilot-agent.cjs';
const temporaryFile = `dist/.pilot-agent.${process.pid}.cjs`;
const allowed = [/^src\/(base|identity|agent)\//, /^src\/main\/(pilot-agent|version)\.ts$/];
const maxSizeBytes = 240 * 1024;

const result = await build({
  absWorkingDir: root,
  entryPoints: ['src/main/pilot-agent.ts'],
  outfile: temporaryFile,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node26',
  minifyWhitespace: true,
  // Names stay: stack traces are read.
  minifySyntax: true,
  metafile: true,
  logLevel: 'warning',
});

const inputs = Object.keys(result.metafile.inputs).sort();
const strangers = inputs.filter((path) => !allowed.some((pattern) => pattern.test(path)));
if (strangers.length > 0) throw new Error(`not allowed in the agent: ${strangers.join(', ')}`);
const sizeBytes = result.metafile.outputs[temporaryFile]?.bytes ?? 0;
if (sizeBytes === 0 || sizeBytes > maxSizeBytes)
  throw new Error(`${outFile} has ${sizeBytes} bytes, at most ${maxSizeBytes} are allowed`);
mkdirSync(`${root}/dist`, { recursive: true });
// Renamed into place, so that an agent that starts at this moment sees the old file or the new one.
renameSync(`${root}/${temporaryFile}`, `${root}/${outFile}`);
writeFileSync(`${root}/dist/pilot-agent.meta.json`, `${JSON.stringify({ sizeBytes, inputs }, null, 2)}\n`);
process.stdout.write(`${outFile}: ${sizeBytes} bytes from ${inputs.length} files\n`);
