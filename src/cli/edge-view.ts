/** The table of edges: on a terminal it is redrawn in place, elsewhere it is printed as plain lines now and then. */
import { stripVTControlCharacters } from 'node:util';
import { CONTROL_PATHS, type Edge, type EdgesAnswer } from '#doors/control-protocol.ts';
import type { CliContext, Output } from './cli-context.ts';
import type { ControlClient } from './control-client.ts';
import { type Style, styleFor } from './style.ts';
import { printable, printTable } from './table.ts';

const REFRESH_MS = 2000;
const PLAIN_PERIOD_MS = 10_000;
const GOOD_RATE = 0.999;
const HEAD = ['SOURCE', 'DESTINATION', 'REQ/S', 'SUCCESS', 'P50', 'P99', 'MTLS'];

/** Shows the edges until the signal fires. */
export async function watchEdges(
  context: CliContext,
  client: ControlClient,
  signal: AbortSignal,
): Promise<void> {
  const { stdout, clock, environment } = context;
  const style = styleFor(stdout, environment);
  const isTerminal = stdout.isTTY === true && environment['TERM'] !== 'dumb';
  const screen = new Screen(stdout);
  let printedAtMs = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    const answer = await client.get<EdgesAnswer>(CONTROL_PATHS.edges);
    if (isTerminal) screen.draw(printEdges(answer, style));
    else if (answer.windowMs > 0 && clock.monotonicMs() - printedAtMs >= PLAIN_PERIOD_MS) {
      printedAtMs = clock.monotonicMs();
      stdout.write(answer.edges.map((edge) => `${printEdgeLine(edge)}\n`).join(''));
    }
    await pause(context, REFRESH_MS, signal);
  }
}

/** All edges as a table. */
export function printEdges({ edges, windowMs }: EdgesAnswer, style: Style): string {
  if (edges.length === 0) return style.dim(windowMs > 0 ? 'no traffic yet\n' : 'looking for traffic ...\n');
  const rows = edges.map((edge) => [
    name(edge.source, edge.sourceNamespace),
    name(edge.destination, edge.destinationNamespace),
    edge.requestsPerSecond.toFixed(1),
    edge.successRate >= GOOD_RATE ? style.green(percent(edge)) : style.red(percent(edge)),
    milliseconds(edge.p50Ms),
    milliseconds(edge.p99Ms),
    edge.mtls ? style.green('yes') : style.yellow('no'),
  ]);
  return printTable(HEAD, rows);
}

/** One edge as a sentence of a log. */
export function printEdgeLine(edge: Edge): string {
  const source = name(edge.source, edge.sourceNamespace);
  const destination = name(edge.destination, edge.destinationNamespace);
  const speed = `p50 ${milliseconds(edge.p50Ms)} p99 ${milliseconds(edge.p99Ms)}`;
  const mtls = edge.mtls ? 'yes' : 'no';
  return `${source} -> ${destination} ${edge.requestsPerSecond.toFixed(1)} req/s success ${percent(edge)} ${speed} mtls ${mtls}`;
}

function name(workload: string, namespace: string): string {
  return printable(
    namespace === 'default' || namespace === 'unknown' ? workload : `${workload}.${namespace}`,
  );
}

function percent(edge: Edge): string {
  if (edge.requestsPerSecond === 0) return '-';
  return `${(edge.successRate * 100).toFixed(1)}%`;
}

function milliseconds(value: number | undefined): string {
  if (value === undefined) return '-';
  return value < 10 ? `${value.toFixed(1)}ms` : `${Math.round(value)}ms`;
}

/** Lines that replace those drawn before. */
class Screen {
  readonly #output: Output;
  #lines = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  draw(text: string): void {
    const { columns = 80, rows = 24 } = this.#output;
    const lines = text
      .split('\n')
      .slice(0, -1)
      .slice(0, rows - 1)
      .map((line) => fit(line, columns));
    const up = this.#lines === 0 ? '' : `\x1b[${this.#lines}A`;
    this.#output.write(`${up}\r${lines.map((line) => `\x1b[2K${line}\n`).join('')}\x1b[J`);
    this.#lines = lines.length;
  }
}

/** A line that wraps would be two: too long ones lose their colours and their end. */
function fit(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length < columns ? line : plain.slice(0, columns - 1);
}

function pause({ clock }: CliContext, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.schedule(delayMs, end);
    function end(): void {
      timer[Symbol.dispose]();
      signal.removeEventListener('abort', end);
      resolve();
    }
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
  });
}
