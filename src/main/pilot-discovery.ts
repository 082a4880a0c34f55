/**
 * `pilot-discovery discovery`: the control plane as a program of its own, with Istio's flags. Reads the environment and
 * the command line, constructs everything, and stops in order on SIGTERM or SIGINT.
 * Exit codes: 0 stopped as asked, 1 could not start, 2 wrong usage.
 */
import { Command } from 'commander';
import { readDiscoveryEnvironment } from './discovery-environment.ts';
import { discoveryFlags, withDiscoveryFlags } from './discovery-flags.ts';
import { openDiscovery } from './discovery.ts';
import { VERSION } from './version.ts';

const program = new Command('pilot-discovery').description('Lateen control plane').exitOverride();

withDiscoveryFlags(program.command('discovery').description('run the control plane')).action(
  async (options) => {
    const environment = readDiscoveryEnvironment(process.env);
    const flags = discoveryFlags(options as Record<string, unknown>, environment);
    const discovery = await openDiscovery(flags, environment);
    const stop = async (): Promise<void> => {
      await discovery.close();
      process.exit(0);
    };
    process.once('SIGTERM', () => void stop());
    process.once('SIGINT', () => void stop());
  },
);

program
  .command('version')
  .description('print the version')
  .option('-s, --short', 'the number alone')
  .action(({ short }: { short?: boolean }) =>
    console.log(short === true ? VERSION : `version.BuildInfo{Version:"${VERSION}"}`),
  );

try {
  await program.parseAsync();
} catch (error) {
  const code = (error as { code?: string; exitCode?: number }).code ?? '';
  if (code.startsWith('commander.')) process.exit((error as { exitCode: number }).exitCode === 0 ? 0 : 2);
  console.error(`pilot-discovery: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
