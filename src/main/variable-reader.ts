/** Takes typed values out of environment variables, and notes those that cannot be read: their defaults hold then. */
import { parseDurationMs } from '#base/duration.ts';

export class VariableReader {
  /** Names of variables whose values could not be read. */
  readonly unreadable: string[] = [];
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  /** '' when not set. */
  text(name: string): string {
    return this.#environment[name] ?? '';
  }

  /** Undefined when not set, or not above 0. */
  durationMs(name: string): number | undefined {
    const read = parseDurationMs(this.text(name));
    if (read.ok && read.value > 0) return read.value;
    return this.#unreadable(name);
  }

  /** Undefined when not set, or no whole number above 0. */
  count(name: string): number | undefined {
    const text = this.text(name);
    return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : this.#unreadable(name);
  }

  /** Words between commas. */
  list(name: string, fallback = ''): readonly string[] {
    const words = (this.text(name) || fallback).split(',').map((word) => word.trim());
    return words.filter((word) => word !== '');
  }

  #unreadable(name: string): undefined {
    if (this.text(name) !== '') this.unreadable.push(name);
    return undefined;
  }
}
