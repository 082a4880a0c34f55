/** Exit codes of the command line, as docs/cli.md lists them, and the error that carries one. */

export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** Ends a command with a message for the user; no stack is shown. */
export class CliError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number = EXIT_FAILURE) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command was called in a wrong way. */
export function usageError(message: string): CliError {
  return new CliError(message, EXIT_USAGE);
}
