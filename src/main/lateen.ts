/**
 * lateen: the command line, and the mesh on one machine that it can host. Compiled code is kept from one start to the next, which
 * halves the time until a command answers.
 */
import { enableCompileCache } from 'node:module';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
enableCompileCache(join(root, '.cache', 'compile'));
const { runCommandLine } = await import('./command-line.ts');
process.exitCode = await runCommandLine(root);
