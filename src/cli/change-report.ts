/** Tells what came of a change: objects, findings, proxies that lag, objects that Envoy refused. */
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { printObjectRef } from '#base/object-ref.ts';
import type { ApplyAnswer } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { CliError } from './exit-code.ts';
import { printName } from './object-names.ts';
import { styleFor } from './style.ts';
import { printable } from './table.ts';

/** Objects to stdout, everything else to stderr. Errors: a CliError when the change was refused or did not arrive everywhere. */
export function reportChange(context: CliContext, answer: ApplyAnswer, suffix = ''): void {
  const style = styleFor(context.stderr, context.environment);
  const tell = (line: string): void => void context.stderr.write(`${line}\n`);
  for (const diagnostic of answer.diagnostics) {
    const paint = diagnostic.severity === 'error' ? style.red : style.yellow;
    const [head = '', ...cure] = printDiagnostic(diagnostic).split('\n');
    tell([paint(head), ...cure].join('\n'));
  }
  if (!answer.accepted) throw new CliError('nothing was changed');
  for (const object of answer.objects) {
    context.stdout.write(`${printName(object)} ${object.action}${suffix}\n`);
  }
  for (const held of answer.heldBack) {
    tell(style.red(`Envoy refuses ${printObjectRef(held)}: ${printable(held.reason)}`));
    tell(
      held.lastGood
        ? '  What it said before stays in force.'
        : '  It is held back; everything else is in force.',
    );
  }
  if (answer.pending.length > 0)
    throw new CliError(`these proxies have not taken the change in time: ${answer.pending.join(', ')}`);
  if (answer.heldBack.length > 0) throw new CliError('');
}
