/** `lateen api-resources`: the kinds that are known, and how they may be called. */
import type { Command } from 'commander';
import { KINDS } from '#api/kind-registry.ts';
import type { CliContext } from './cli-context.ts';
import { printTable } from './table.ts';

/** Adds the command. */
export function addApiResources(program: Command, context: CliContext): void {
  program
    .command('api-resources')
    .description('list the kinds of objects')
    .action(() => {
      const rows = KINDS.map(({ plural, shortNames, group, versions, namespaced, kind }) => {
        const apiVersion = group === '' ? (versions[0] ?? '') : `${group}/${versions[0] ?? ''}`;
        return [plural, shortNames.join(','), apiVersion, String(namespaced), kind];
      });
      context.stdout.write(printTable(['NAME', 'SHORTNAMES', 'APIVERSION', 'NAMESPACED', 'KIND'], rows));
    });
}
