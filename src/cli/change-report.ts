/** Tells what came of a change: objects, findings, proxies that lag, objects that Envoy refused. */
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { printObjectRef } from '#base/object-ref.ts';
import type { ApplyAnswer } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { CliError, usageError } from './exit-code.ts';
import { printName } from './object-names.ts';
import { styleFor } from './style.ts';
import { printable } from './table.ts';

/** How a change is told. */
export interface ReportOptions {
  /** 'json' prints the whole answer. */
  readonly output?: string;
  /** Behind what was done to each object. */
  readonly suffix?: string;
}

/** Objects to stdout, everything else to stderr. Errors: a CliError when the change was refused or did not arrive everywhere. */
export function reportChange(context: CliContext, answer: ApplyAnswer, options: ReportOptions = {}): void {
  if (options.output === 'json') context.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
  else tellChange(context, answer, options.suffix ?? '');
  if (!answer.accepted) throw new CliError('nothing was changed');
  if (answer.pending.length > 0) {
    throw new CliError(`these proxies have not taken the change in time: ${answer.pending.join(', ')}`);
  }
  if (answer.heldBack.length > 0) throw new CliError('');
}

function tellChange(context: CliContext, answer: ApplyAnswer, suffix: string): void {
  const style = styleFor(context.stderr, context.environment);
  const tell = (line: string): void => void context.stderr.write(`${line}\n`);
  for (const diagnostic of answer.diagnostics) {
    const paint = diagnostic.severity === 'error' ? style.red : style.yellow;
    const [head = '', ...cure] = printDiagnostic(diagnostic).split('\n');
    tell([paint(head), ...cure].join('\n'));
  }
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
}

/** `-o json`, checked. */
export function jsonOutput({ output }: { readonly output?: string }): Pick<ReportOptions, 'output'> {
  if (output === undefined) return {};
  if (output !== 'json') throw usageError(`unknown output ${output}: json is wanted`);
  return { output };
}
