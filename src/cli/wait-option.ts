/** `--wait` and `--timeout`: whether a change returns only when the proxies have it. */
import type { Command } from 'commander';
import { parseDurationMs } from '#base/duration.ts';
import { usageError } from './exit-code.ts';

export interface WaitOptions {
  readonly wait?: boolean;
  readonly timeout: string;
}

/** Adds both. */
export function withWait(command: Command): Command {
  return command
    .option('--wait', 'return when every proxy has taken the change')
    .option('--timeout <duration>', 'how long to wait', '30s');
}

/** What the mesh is asked to do. */
export function readWait(options: WaitOptions): { readonly wait: boolean; readonly timeoutMs: number } {
  const timeout = parseDurationMs(options.timeout);
  if (!timeout.ok || timeout.value <= 0)
    throw usageError(`${options.timeout} is not a duration, such as 30s or 1m30s`);
  return { wait: options.wait === true, timeoutMs: timeout.value };
}
