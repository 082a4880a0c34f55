/** Errors of the operating system in words that say what to do; the code (ENOSPC, EADDRINUSE …) decides. */

/** Whether an error carries this code. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

/** One line for the user. */
export function explainSystemError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path, message } = error as NodeJS.ErrnoException;
  const where = path === undefined ? '' : ` (${path})`;
  if (code === 'ENOSPC') return `no space left on the disk${where}; free some and start again`;
  if (code === 'EDQUOT') return `the disk quota is used up${where}; free some space and start again`;
  if (code === 'EACCES' || code === 'EPERM')
    return `permission denied${where}; choose a folder that you may write to`;
  if (code === 'EROFS') return `the file system is read-only${where}; choose a folder that you may write to`;
  if (code === 'EMFILE' || code === 'ENFILE')
    return `too many open files${where}; raise the limit (ulimit -n)`;
  return message;
}
