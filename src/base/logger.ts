/**
 * Log lines as Istio writes them, as text (`time<TAB>level<TAB>scope<TAB>message key=value`) or JSON. Where they go and
 * what time it is are handed in. Control characters are escaped: what a client sends can't forge a line.
 */
import type { Clock } from './clock.ts';

/** From silent to talkative; a scope at one level logs that level and those before it. */
const LEVELS = ['none', 'error', 'warn', 'info', 'debug'] as const;

export type LogLevel = (typeof LEVELS)[number];

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** True when a line of this level would be written; for messages that are dear to make. */
  isEnabled(level: LogLevel): boolean;
  /** A logger of another scope that shares levels and sink. */
  scope(name: string): Logger;
}

/** Levels by scope, changeable while running (`--log_output_level`, ControlZ). */
export class LogLevels {
  readonly #byScope: Map<string, LogLevel> = new Map();
  #fallback: LogLevel;

  constructor(fallback: LogLevel = 'info') {
    this.#fallback = fallback;
  }

  get(scope: string): LogLevel {
    return this.#byScope.get(scope) ?? this.#fallback;
  }

  /** Sets one scope; `default` and `all` stand for every scope without a level of its own. */
  set(scope: string, level: LogLevel): void {
    if (scope === 'default' || scope === 'all') this.#fallback = level;
    else this.#byScope.set(scope, level);
  }

  /**
   * Applies Istio's form `default:info,ads:debug`; a level alone sets the default.
   * Errors: returns a text and changes nothing when a part is no level.
   */
  apply(text: string): string | undefined {
    const parts = text.split(',').filter((part) => part !== '');
    const settings = parts.map((part): readonly [string, string] => {
      const colon = part.lastIndexOf(':');
      return colon < 0 ? ['default', part] : [part.slice(0, colon), part.slice(colon + 1)];
    });
    const wrong = settings.find(([, level]) => !isLogLevel(level));
    if (wrong !== undefined) return `"${wrong[1]}" is no log level; one of ${LEVELS.join(', ')} is`;
    for (const [scope, level] of settings) this.set(scope, level as LogLevel);
    return undefined;
  }
}

export function isLogLevel(text: string): text is LogLevel {
  return (LEVELS as readonly string[]).includes(text);
}

export interface LoggerOptions {
  readonly clock: Clock;
  readonly levels: LogLevels;
  readonly format: 'text' | 'json';
  /** Takes each line without its line end. */
  readonly sink: (line: string) => void;
}

/** Makes the logger of one scope. */
export function createLogger(options: LoggerOptions, scope = 'default'): Logger {
  function isEnabled(level: LogLevel): boolean {
    return LEVELS.indexOf(level) <= LEVELS.indexOf(options.levels.get(scope));
  }
  function log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (!isEnabled(level)) return;
    const line = { time: formatTime(options.clock.nowMs()), level, scope, message, fields };
    options.sink(options.format === 'json' ? formatJson(line) : formatText(line));
  }
  return {
    debug: (message, fields) => log('debug', message, fields),
    info: (message, fields) => log('info', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    error: (message, fields) => log('error', message, fields),
    isEnabled,
    scope: (name) => createLogger(options, name),
  };
}

/** A logger for where nobody listens. */
export function silentLogger(): Logger {
  const logger: Logger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: () => {},
    isEnabled: () => false,
    scope: () => logger,
  };
  return logger;
}

interface Line {
  readonly time: string;
  readonly level: LogLevel;
  readonly scope: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** RFC 3339 with microseconds as Istio writes it; the clock has milliseconds. */
function formatTime(unixMs: number): string {
  return new Date(unixMs).toISOString().replace('Z', '000Z');
}

function formatText({ time, level, scope, message, fields }: Line): string {
  const pairs = Object.entries(fields).map(
    ([key, value]) => `${escapeControls(key)}=${quoteIfNeeded(textOf(value))}`,
  );
  return [time, level, escapeControls(scope), [escapeControls(message), ...pairs].join(' ')].join('\t');
}

/** Istio's own keys come first and can't be overwritten by a field. */
function formatJson({ time, level, scope, message, fields }: Line): string {
  const own = { level, time, scope, msg: message };
  const rest = Object.entries(fields).map(([key, value]) => [
    key in own ? `field.${key}` : key,
    plainOf(value),
  ]);
  return escapeControls(JSON.stringify({ ...own, ...Object.fromEntries(rest) }));
}

function textOf(value: unknown): string {
  const data = plainOf(value);
  return typeof data === 'string' ? data : JSON.stringify(data);
}

/** Data that JSON has a form for. A logger must never throw: what has none (a cycle, say) is named by its type. */
function plainOf(value: unknown): unknown {
  if (value instanceof Error) return textOfError(value);
  if (typeof value !== 'object')
    return typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
  try {
    return JSON.parse(
      JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? String(part) : part)),
    );
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** The message and those of its causes; stacks are for debuggers. */
function textOfError(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${textOfError(error.cause)}` : error.message;
}

function quoteIfNeeded(text: string): string {
  const isPlain = text !== '' && !/[\s"=\p{Cc}]/u.test(text);
  return isPlain ? text : escapeControls(JSON.stringify(text));
}

/** Control characters, and those that turn the direction of text or end a line elsewhere, as \uXXXX. */
function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
