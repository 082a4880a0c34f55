/** Tables as kubectl prints them: columns aligned by blanks, no lines. Colours do not count as width. */
import { stripVTControlCharacters } from 'node:util';

const GAP = 3;

/** Prints rows under a head; every line ends in a newline, none in blanks. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ''))));
  return all
    .map((row) => {
      const cells = row.map((cell, column) => {
        const isLast = column === row.length - 1;
        return isLast ? cell : cell + ' '.repeat((widths[column] ?? 0) - width(cell) + GAP);
      });
      return `${cells.join('').trimEnd()}\n`;
    })
    .join('');
}

/** Text as one line without control characters, so that foreign text cannot move the cursor. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

function width(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}
