/**
 * Runs a mesh in this process until it is asked to end: by a signal, or by `lateen down`. Commands that host a mesh (up, demo) do
 * their own work meanwhile; however that ends, the mesh is stopped in order, and a second signal stops it at once.
 */
import type { CliContext, HostedMesh, StartMesh } from './cli-context.ts';
import { CliError } from './exit-code.ts';

/** What a hosting command does while the mesh runs; ends early when the signal fires. */
export type WhileRunning = (mesh: HostedMesh, signal: AbortSignal) => Promise<void>;

/** Starts, runs, stops. Errors: rejects with what kept the mesh from starting, after all is cleaned up. */
export async function hostMesh(context: CliContext, options: StartMesh, run: WhileRunning): Promise<void> {
  const end = new AbortController();
  let mesh: HostedMesh | undefined;
  let signals = 0;
  using _signals = context.onStopSignal((signal) => {
    signals += 1;
    if (signals === 1) {
      options.onStep(`Stopping (${signal}) ...`);
      end.abort();
      return;
    }
    mesh?.kill();
  });
  try {
    mesh = await context.startMesh(options);
  } catch (error) {
    throw new CliError(error instanceof Error ? error.message : String(error));
  }
  void mesh.downAsked.then(() => {
    if (!end.signal.aborted) options.onStep('Stopping (lateen down) ...');
    end.abort();
  });
  try {
    if (!end.signal.aborted) await run(mesh, end.signal);
  } finally {
    end.abort();
    await mesh[Symbol.asyncDispose]();
  }
}

/** Resolves when the signal fires. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
}
