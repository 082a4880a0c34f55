/** What an API server answers when it refuses, and how we tell connection failures apart from refusals. */

/** An answer with a status of 400 or more, or an ERROR event of a watch. */
export class KubeError extends Error {
  readonly status: number;
  /** Kubernetes' word for it: Forbidden, Gone, Expired, NotFound … */
  readonly reason: string;
  /** Wait that the server asked for; 0 when it asked for none. */
  readonly retryAfterMs: number;

  constructor(status: number, reason: string, message: string, retryAfterMs = 0) {
    super(message);
    this.name = 'KubeError';
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

const MAX_MESSAGE = 500;

/** The error in a Status object; any other body gives the status code alone. */
export function kubeErrorOf(status: number, body: unknown, retryAfterMs = 0): KubeError {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Readonly<Record<string, unknown>>;
  const code = typeof fields['code'] === 'number' ? fields['code'] : status;
  const reason = typeof fields['reason'] === 'string' ? fields['reason'] : '';
  const message = typeof fields['message'] === 'string' ? fields['message'] : `HTTP ${status}`;
  return new KubeError(code, reason, message.slice(0, MAX_MESSAGE), retryAfterMs);
}

/** The version that we know is too old for the server: only a new list helps. */
export function isGone(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 410 || /^(Gone|Expired)$/.test(error.reason));
}

/** True for an answer with this HTTP status. */
export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof KubeError && error.status === status;
}

/** Waits for a conditional write; false when somebody else was faster (409), or took the object away (404). */
export async function unlessOutdated(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (hasStatus(error, 409) || hasStatus(error, 404)) return false;
    throw error;
  }
}
