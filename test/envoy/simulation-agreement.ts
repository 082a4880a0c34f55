/**
 * What can be seen of a verdict, as one line of text: made from what the simulator says, and from what Envoy logged and the
 * client got. The two agree when the lines are equal.
 */
import type { Outcome, Verdict } from '#simulation/simulated-call.ts';
import type { LogLine, Truth } from './simulation-rig.ts';

/** What is to be seen of a verdict. */
export function expectedSight(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'routed': {
      const { authority, path } = verdict.request;
      return `routed route=${verdict.route} cluster=${verdict.cluster} ${authority}${path}`;
    }
    case 'redirect':
      return `answer ${verdict.status} ${verdict.details} route=${verdict.route} location=${verdict.location}`;
    case 'tcp':
      return `tcp cluster=${verdict.cluster}`;
    case 'tcp-no-cluster':
      return 'tcp NC';
    case 'tcp-no-endpoint':
      return `tcp UH cluster=${verdict.cluster}`;
    case 'tcp-denied':
      return `tcp denied ${verdict.policy || 'none'}`;
    case 'no-chain':
    case 'no-listener':
    case 'tls-refused':
      return 'closed';
    case 'not-evaluated':
      return `not evaluated: ${verdict.reason}`;
    default:
      return `answer ${verdict.status} ${verdict.details} route=${verdict.route}`;
  }
}

/** What was seen. */
export function actualSight({ call, answer, log }: Truth): string {
  // A TCP proxy may have connected upstream before the handshake failed. Of plain text the inspector says that it is no TLS.
  const handshakeFailed = call.connection.tls !== undefined && log !== undefined && log.tls !== null;
  if (log === undefined || handshakeFailed || (log.flags === 'NR' && log.call === null)) {
    return answer.kind === 'answer' ? `answer ${answer.status} without log` : 'closed';
  }
  if (log.details === null || log.code === 0) return tcpSight(log);
  const route = `route=${log.route ?? ''}`;
  const details = String(log.details).replace(/\{.*\}$/, '');
  if (details === 'via_upstream' || details.startsWith('upstream_')) {
    return `routed ${route} cluster=${log.cluster} ${log.authority}${log.path}`;
  }
  const location = answer.kind === 'answer' ? answer.headers.get('location') : undefined;
  return `answer ${log.code} ${details} ${route}${location === undefined ? '' : ` location=${location}`}`;
}

function tcpSight({ end, flags, cluster }: LogLine): string {
  const policy = /rbac_access_denied_matched_policy\[(.*)\]$/.exec(String(end ?? ''))?.[1];
  if (policy !== undefined) return `tcp denied ${policy}`;
  if (flags === 'NC') return 'tcp NC';
  if (flags === 'UH') return `tcp UH cluster=${cluster}`;
  return cluster === null ? 'closed' : `tcp cluster=${cluster}`;
}

/** The share of each sight among the outcomes. */
export function sightShares(outcomes: readonly Outcome[]): ReadonlyMap<string, number> {
  const shares = new Map<string, number>();
  for (const { probability, verdict } of outcomes) {
    const sight = expectedSight(verdict);
    shares.set(sight, (shares.get(sight) ?? 0) + probability);
  }
  return shares;
}

/** What differs, in words; undefined when the call ended in one of the outcomes. */
export function disagreement(outcomes: readonly Outcome[], truth: Truth): string | undefined {
  const actual = actualSight(truth);
  const fitting = outcomes.filter(({ verdict }) => expectedSight(verdict) === actual);
  const [first] = fitting;
  if (first === undefined) {
    const expected = [...sightShares(outcomes).keys()].join('\n            or ');
    return `simulated: ${expected}\n  in truth: ${actual}`;
  }
  return fitting.some(({ verdict }) => hasEndpoint(verdict, truth))
    ? undefined
    : `not an endpoint: ${truth.log?.host}`;
}

/** The endpoint that Envoy chose is one of those that the simulator names. */
function hasEndpoint(verdict: Verdict, { log }: Truth): boolean {
  if (verdict.kind !== 'routed' && verdict.kind !== 'tcp') return true;
  const host = log?.host ?? null;
  if (host === null || verdict.endpoints.kind === 'unknown') return true;
  return verdict.endpoints.endpoints.some(({ address, port }) => `${address}:${port}` === host);
}
