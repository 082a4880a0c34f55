/** `lateen jwt check`: what becomes of a request with this token at a workload, and why. The token goes to the mesh's own socket only. */
import type { Command } from 'commander';
import { printObjectRef } from '#base/object-ref.ts';
import { CONTROL_PATHS, type JwtCheckAnswer, type JwtCheckRequest } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import {
  connectMesh,
  givenNamespace,
  type MeshOption,
  type NamespaceOption,
  withMesh,
  withNamespace,
} from './command-options.ts';
import { usageError } from './exit-code.ts';
import { type Style, styleFor } from './style.ts';
import { printable } from './table.ts';

interface JwtOptions extends MeshOption, NamespaceOption {
  readonly for: string;
  readonly from?: string;
  readonly method: string;
  readonly path: string;
  readonly host?: string;
  readonly port?: string;
  readonly output?: string;
}

/** More than any proxy takes in a header. */
const MAX_INPUT_BYTES = 64 * 1024;
const LABEL_WIDTH = 10;

/** Adds the command. */
export function addJwt(program: Command, context: CliContext): void {
  const jwt = program.command('jwt').description('tokens and the policies about them');
  withNamespace(withMesh(jwt.command('check')))
    .description('tell whether a workload takes a token, and which object decides')
    .argument('<token>', 'the token, or - to read it from standard input, where nobody else sees it')
    .requiredOption('--for <workload>', 'workload or gateway that is called')
    .option('--from <workload>', 'who calls: a workload, or a SPIFFE id (default: nobody known)')
    .option('--method <method>', 'HTTP method', 'GET')
    .option('--path <path>', 'path, with query', '/')
    .option('--host <name>', 'Host header (default: the name of the workload)')
    .option('--port <number>', 'port of the workload (default: its first)')
    .option('-o, --output <format>', 'json')
    .addHelpText(
      'after',
      '\nExamples:\n  lateen jwt check - --for reviews-v1 < token.txt\n  lateen jwt check "$TOKEN" --for ingressgateway --host api.example.com --path /orders -o json\n',
    )
    .action((token: string, options: JwtOptions) => checkJwt(context, token, options));
}

async function checkJwt(context: CliContext, argument: string, options: JwtOptions): Promise<void> {
  const { output, from = '', host = '', method, path } = options;
  if (output !== undefined && output !== 'json') throw usageError(`unknown output ${output}: json is wanted`);
  const port = Number(options.port ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw usageError(`${options.port} is not a port`);
  if (!path.startsWith('/')) throw usageError('a path begins with /');
  const token = argument === '-' ? await readToken(context) : argument;
  if (token.trim() === '') throw usageError('the token is empty');
  const request: JwtCheckRequest = {
    token: token.trim().replace(/^bearer\s+/i, ''),
    workload: options.for,
    namespace: givenNamespace(context, options) ?? '',
    from,
    method,
    path,
    host,
    port,
  };
  const answer = await connectMesh(context, options).post<JwtCheckAnswer>(CONTROL_PATHS.jwtCheck, request);
  const style = styleFor(context.stdout, context.environment);
  context.stdout.write(
    output === 'json' ? `${JSON.stringify(answer, null, 2)}\n` : printAnswer(answer, style),
  );
}

async function readToken({ stdin }: CliContext): Promise<string> {
  let text = '';
  for await (const chunk of stdin) {
    text += String(chunk);
    if (text.length > MAX_INPUT_BYTES) throw usageError(`a token is at most ${MAX_INPUT_BYTES} bytes`);
  }
  return text;
}

/** The answer as text. */
export function printAnswer(answer: JwtCheckAnswer, style: Style): string {
  const { verdict, status, verified, key, policy, certain } = answer;
  const word = verdict === 'allowed' ? style.green('allowed') : style.red(`denied, ${status}`);
  const signed = key === null ? '-' : `${key.kid === '' ? '(no id)' : key.kid} (${key.kty}, ${key.alg})`;
  const rows: readonly (readonly [string, string])[] = [
    ['verdict', certain ? word : `${word}, as far as can be known`],
    ['reason', answer.reason],
    ['policy', policy === null ? '-' : `${printObjectRef(policy)} ${policy.path}`],
    ['issuer', `${answer.issuer || '-'}${verified ? '' : ' (not verified)'}`],
    ['subject', answer.subject || '-'],
    ['audience', answer.audience.join(', ') || '-'],
    ['key', signed],
    ['expiry', answer.expiry || '-'],
  ];
  return rows
    .map(([label, text]) => `${label.padEnd(LABEL_WIDTH)}${label === 'verdict' ? text : printable(text)}\n`)
    .join('');
}
