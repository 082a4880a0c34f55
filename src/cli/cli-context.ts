/**
 * What commands may touch of the world, handed in by main: streams, environment, running meshes, and the means to start one. A test
 * gives its own.
 */
import type { Readable, Writable } from 'node:stream';
import type { Clock } from '#base/clock.ts';
import type { Result } from '#base/result.ts';
import type { MeshStatus } from '#doors/control-protocol.ts';

/** A stream that may be a terminal. */
export type Output = Writable & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

/** A running mesh and its control socket. */
export interface MeshLocation {
  readonly dir: string;
  readonly pid: number;
  readonly socket: string;
}

/** How to start a mesh in this process. */
export interface StartMesh {
  readonly dir: string;
  /** YAML of mesh config, laid over the defaults. */
  readonly meshConfigFile: string | undefined;
  /** Gets a line before each step that takes time. */
  readonly onStep: (text: string) => void;
}

/** A mesh that runs in this process until it is disposed of. */
export interface HostedMesh extends AsyncDisposable, MeshLocation {
  /** Resolves when another command asked for the end. */
  readonly downAsked: Promise<void>;
  status(): MeshStatus;
  /** Resolves when all replicas are ready, or the signal fires. Errors: rejects when a proxy cannot come up. */
  whenUp(
    onProgress: (progress: { ready: number; total: number }) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Ends every process of the mesh at once, without order; for a second Ctrl-C. */
  kill(): void;
}

export interface CliContext {
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly clock: Clock;
  readonly version: string;
  /** Where bookinfo and its fellows are. */
  readonly samplesFolder: string;
  /** Folder for what goes again, such as the demo's files. */
  readonly tempFolder: string;
  /** Finds the mesh that a command means; '' asks for the only one, or the one around the current folder. */
  findMesh(dir: string): Result<MeshLocation, string>;
  startMesh(options: StartMesh): Promise<HostedMesh>;
  /** Runs a command on this terminal; gives its exit code, 127 when there is no such command. */
  runCommand(
    words: readonly string[],
    environment: Readonly<Record<string, string | undefined>>,
  ): Promise<number>;
  /** Tells of SIGINT, SIGTERM and SIGHUP while it lives; without a listener they end the process. */
  onStopSignal(listener: (signal: string) => void): Disposable;
}
