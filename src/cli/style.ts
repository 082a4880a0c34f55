/** Colours, on a terminal only, and never when NO_COLOR is set (https://no-color.org). */
import type { CliContext, Output } from './cli-context.ts';

/** Paints text, or leaves it as it is. */
export interface Style {
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  bold(text: string): string;
  dim(text: string): string;
}

/** The style for one stream. */
export function styleFor(stream: Output, environment: CliContext['environment']): Style {
  const noColor = environment['NO_COLOR'];
  const isOn =
    stream.isTTY === true && (noColor === undefined || noColor === '') && environment['TERM'] !== 'dumb';
  const paint =
    (open: number, close: number) =>
    (text: string): string =>
      isOn && text !== '' ? `\x1b[${open}m${text}\x1b[${close}m` : text;
  return {
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    bold: paint(1, 22),
    dim: paint(2, 22),
  };
}
