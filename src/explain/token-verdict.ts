/**
 * What becomes of a request with a token at one proxy: verified by the RequestAuthentications that hold there, then tried against
 * all that the proxy was sent, AuthorizationPolicies among it, by the simulator. The simulator never sees the token, only that
 * there is a good one, and its claims.
 */
import type { JsonObject } from '@bufbuild/protobuf';
import type { Cause } from '#base/cause.ts';
import { READ_NOW } from '#collections/read-now.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { PolicySubject } from '#model/policy-target.ts';
import {
  type RequestAuthentication,
  requestAuthenticationFor,
  type TokenRule,
} from '#model/request-authentication.ts';
import type { CallConnection, CallRequest, ClientTls } from '#simulation/call.ts';
import type { SimulatedProxy } from '#simulation/evaluation.ts';
import { simulateAtProxy } from '#simulation/simulate.ts';
import { isCertain, type Outcome } from '#simulation/simulated-call.ts';
import type { SecurityModel } from '#xds/mesh-graph.ts';
import {
  audiencesOf,
  checkToken,
  printTime,
  readToken,
  type TokenCheck,
  type TokenKey,
} from './token-check.ts';

/** The request that carries the token. */
export interface TokenRequest {
  readonly token: string;
  readonly address: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** Host header. */
  readonly host: string;
  /** SPIFFE id of the caller; '' for one of whom nothing is known. */
  readonly caller: string;
}

/** The answer. */
export interface TokenVerdict {
  readonly verdict: 'allowed' | 'denied';
  /** What the client gets: 401 for a bad token, 403 for a token that may not; 200 stands for whatever the application answers. */
  readonly status: 200 | 401 | 403;
  /** Whether somebody has checked the token: without RequestAuthentication nobody does. */
  readonly verified: boolean;
  readonly issuer: string;
  readonly subject: string;
  readonly audience: readonly string[];
  /** The key that it was signed with; null when it was not verified. */
  readonly key: TokenKey | null;
  /** RFC 3339, '' when it never ends or cannot be read. */
  readonly expiry: string;
  readonly reason: string;
  /** The rule that decided; null where the lack of one did. */
  readonly policy: Cause | null;
  /** False where something on the way is not known, such as what an external authorizer says. */
  readonly certain: boolean;
}

export interface TokenWorld {
  readonly security: Pick<SecurityModel, 'requestAuthentication' | 'facts'>;
  readonly proxy: SimulatedProxy;
  readonly subject: PolicySubject;
  readonly nowUnixMs: number;
}

type Decision = Pick<TokenVerdict, 'verdict' | 'status' | 'reason' | 'policy' | 'certain'>;

/** Judges a request. */
export async function tokenVerdict(world: TokenWorld, request: TokenRequest): Promise<TokenVerdict> {
  const { security, subject, nowUnixMs } = world;
  const rootNamespace = security.facts.get(MESH_KEY)?.rootNamespace ?? 'istio-system';
  const held = requestAuthenticationFor(READ_NOW, security.requestAuthentication, rootNamespace, subject);
  const { rules } = held;
  const check = rules.length === 0 ? undefined : await checkToken(request.token, rules, nowUnixMs);
  const decision =
    check?.kind === 'refused' ? refusal(check, held) : policyDecision(world, request, check, held);
  return { ...decision, ...factsOf(request.token, check) };
}

function factsOf(text: string, check: TokenCheck | undefined): Omit<TokenVerdict, keyof Decision> {
  const token = readToken(text);
  const claims = typeof token === 'string' ? {} : token.claims;
  const say = (name: string): string => (typeof claims[name] === 'string' ? String(claims[name]) : '');
  return {
    verified: check?.kind === 'verified',
    issuer: say('iss'),
    subject: say('sub'),
    audience: typeof token === 'string' ? [] : audiencesOf(token),
    key: check?.kind === 'verified' ? check.key : null,
    expiry: typeof claims['exp'] === 'number' ? printTime(claims['exp']) : '',
  };
}

function refusal(
  { status, reason, rule }: Extract<TokenCheck, { kind: 'refused' }>,
  { ruleCauses }: RequestAuthentication,
): Decision {
  return { verdict: 'denied', status, reason, policy: ruleCauses[rule] ?? null, certain: true };
}

/** What the proxy does with a request whose token is good, or that nobody looks at. */
function policyDecision(
  { proxy }: TokenWorld,
  request: TokenRequest,
  check: Extract<TokenCheck, { kind: 'verified' }> | undefined,
  { rules, ruleCauses }: RequestAuthentication,
): Decision {
  const rule = check === undefined ? undefined : rules[check.rule];
  const call = callRequest(request, rule, check?.token.claims as JsonObject | undefined);
  const outcome = reach(proxy, request, call);
  if (outcome === undefined) {
    const reason = `nothing takes HTTP at ${request.address}:${request.port}`;
    return { verdict: 'denied', status: 403, reason, policy: null, certain: false };
  }
  const { verdict } = outcome;
  const certain = isCertain(outcome);
  const accepted = check === undefined ? undefined : ruleCauses[check.rule];
  if (verdict.kind === 'denied' || verdict.kind === 'unauthenticated') {
    const status = verdict.kind === 'denied' || verdict.status === 403 ? 403 : 401;
    return { verdict: 'denied', status, ...denial(outcome, request.caller), certain };
  }
  const reason = check === undefined ? 'no RequestAuthentication looks at the token' : 'the token is good';
  const policy = allowingPolicy(outcome) ?? accepted ?? null;
  return {
    verdict: 'allowed',
    status: 200,
    reason: `${reason}, and policies let the request pass`,
    policy,
    certain,
  };
}

function denial({ steps, verdict }: Outcome, caller: string): Pick<TokenVerdict, 'reason' | 'policy'> {
  if (verdict.kind === 'denied' && verdict.policy !== '') {
    const [policy = null] = steps.at(-1)?.causes ?? [];
    return { reason: 'an AuthorizationPolicy denies the request', policy };
  }
  if (verdict.kind === 'unauthenticated') {
    return { reason: 'the proxy refuses the token', policy: null };
  }
  const who = caller === '' ? '; nothing is known here of the caller but the token' : '';
  return { reason: `no ALLOW policy lets the request pass${who}`, policy: null };
}

/** The last policy that let the request on. */
function allowingPolicy({ steps }: Outcome): Cause | undefined {
  const decided = steps.filter(({ stage, causes }) => stage === 'http-filter' && causes.length > 0);
  return decided.at(-1)?.causes[0];
}

/** Tries how the proxy may be called: in plain text, as the mesh calls sidecars, as browsers call gateways; a known caller of the mesh first. */
function reach(proxy: SimulatedProxy, request: TokenRequest, call: CallRequest): Outcome | undefined {
  const { address, port, caller, host } = request;
  const certificate = {
    uris: [caller === '' ? NOBODY : caller],
    dnsNames: [],
    subject: '',
    isTrusted: true,
  };
  const meshed: ClientTls = { serverName: '', alpn: ['istio'], certificate };
  const browser: ClientTls = {
    serverName: host.replace(/:\d+$/, ''),
    alpn: ['http/1.1'],
    certificate: undefined,
  };
  for (const tls of caller === '' ? [undefined, meshed, browser] : [meshed, undefined, browser]) {
    const connection: CallConnection = {
      sourceAddress: address,
      sourcePort: 40_000,
      address,
      port,
      protocol: 'http/1.1',
      tls,
    };
    const [outcome] = simulateAtProxy(proxy, { direction: 'inbound', connection, request: call }).outcomes;
    if (outcome !== undefined && !UNREACHED.has(outcome.verdict.kind)) return outcome;
  }
  return undefined;
}

/** An identity that no policy names. */
const NOBODY = 'spiffe://unknown/ns/unknown/sa/unknown';
const UNREACHED: ReadonlySet<Outcome['verdict']['kind']> = new Set([
  'no-listener',
  'no-chain',
  'tls-refused',
  'tcp',
  'tcp-no-cluster',
  'tcp-no-endpoint',
  'tcp-denied',
  'not-evaluated',
]);

/** The request with something where the rule looks for tokens. */
function callRequest(
  { method, path, host }: TokenRequest,
  rule: TokenRule | undefined,
  claims: JsonObject | undefined,
): CallRequest {
  const { fromHeaders = [], fromParams = [], fromCookies = [] } = rule?.rule ?? {};
  const [header] = fromHeaders;
  const [parameter] = fromParams;
  const [cookie] = fromCookies;
  const plain = { method, authority: host, scheme: '', claims };
  if (claims === undefined) return { ...plain, path, headers: [] };
  if (header !== undefined) {
    return { ...plain, path, headers: [[header.name ?? '', `${header.prefix ?? ''}token`]] };
  }
  if (parameter !== undefined) {
    const separator = path.includes('?') ? '&' : '?';
    return { ...plain, path: `${path}${separator}${parameter}=token`, headers: [] };
  }
  if (cookie !== undefined) return { ...plain, path, headers: [['cookie', `${cookie}=token`]] };
  return { ...plain, path, headers: [['authorization', 'Bearer token']] };
}
