/**
 * What a killed owner of the folder left running: processes whose pid files still lie there. A pid counts only together with its
 * start time, so that nobody else's process is ever touched.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startTicks } from './process-table.ts';

/** Kills the groups of all processes named by *.pid files below a folder; gives how many there were. */
export function killLeftOvers(runFolder: string): number {
  if (!existsSync(runFolder)) return 0;
  const files = readdirSync(runFolder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.pid'),
  );
  return files.filter((name) => killGroup(readFileSync(join(runFolder, name), 'utf8'))).length;
}

function killGroup(entry: string): boolean {
  const [pidText = '', ticks = ''] = entry.split(' ');
  const pid = Number(pidText);
  if (!Number.isInteger(pid) || pid <= 1 || ticks === '' || startTicks(pid) !== ticks) return false;
  try {
    process.kill(-pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}
