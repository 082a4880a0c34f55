/**
 * Rules for load balancing: consistent hashing, warm-up, and localities (distribute, failover).
 * Source: istio pkg/config/validation validateLoadBalancer, agent ValidateLocalityLbSetting, ValidateZoneAwareLbSetting.
 */
import type { LoadBalancerSettings, LocalityLoadBalancerSetting } from './destination-rule.ts';
import { checkDuration } from './field-rules.ts';
import { type Findings, show } from './findings.ts';

const MAX_MAGLEV_TABLE = 5_000_011;
const TOPOLOGY_LABELS: ReadonlySet<string> = new Set([
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'topology.istio.io/subzone',
]);

type ConsistentHash = NonNullable<LoadBalancerSettings['consistentHash']>;
type ZoneAware = NonNullable<LoadBalancerSettings['zoneAwareLbSetting']>;

/** Checks loadBalancer; failover makes sense beside outlier detection only. */
export function checkLoadBalancer(
  settings: LoadBalancerSettings | undefined,
  hasOutlierDetection: boolean,
  path: string,
  findings: Findings,
): void {
  if (settings === undefined) return;
  if (settings.consistentHash !== undefined) {
    checkConsistentHash(settings.consistentHash, `${path}.consistentHash`, findings);
  }
  if (settings.localityLbSetting !== undefined && settings.zoneAwareLbSetting !== undefined) {
    findings.add('LTN2038', path, { field: 'localityLbSetting', other: 'zoneAwareLbSetting' });
  }
  checkLocalityLb(settings.localityLbSetting, hasOutlierDetection, `${path}.localityLbSetting`, findings);
  checkZoneAwareLb(settings.zoneAwareLbSetting, hasOutlierDetection, `${path}.zoneAwareLbSetting`, findings);
  checkWarmup(settings.warmup, `${path}.warmup`, findings);
}

function checkConsistentHash(hash: ConsistentHash, path: string, findings: Findings): void {
  const cookie = hash.httpCookie;
  if (cookie !== undefined && (cookie.name ?? '') === '')
    findings.missing(`${path}.httpCookie`, 'name', 'name: user');
  const names = new Set<string>();
  for (const [index, attribute] of (cookie?.attributes ?? []).entries()) {
    const at = `${path}.httpCookie.attributes[${index}]`;
    const name = attribute.name ?? '';
    if (name === '') findings.missing(at, 'name');
    else if (names.has(name))
      findings.add('LTN2014', at, { what: 'the cookie attribute', value: show(name) });
    names.add(name);
  }
  if ((hash.minimumRingSize ?? '0') !== '0') {
    findings.add('LTN2040', `${path}.minimumRingSize`, {
      field: 'minimumRingSize',
      instead: 'ringHash.minimumRingSize',
    });
    for (const other of ['ringHash', 'maglev'] as const) {
      if (hash[other] !== undefined) findings.add('LTN2038', path, { field: 'minimumRingSize', other });
    }
  }
  if (hash.maglev === undefined) return;
  const size = Number(hash.maglev.tableSize ?? 0);
  if (size === 0 || size >= MAX_MAGLEV_TABLE || !isPrime(size)) {
    findings.add('LTN2034', `${path}.maglev.tableSize`, {
      value: String(size),
      problem: 'the table size is a prime number',
      cure: `Write a prime number below ${MAX_MAGLEV_TABLE}, for example 65537.`,
    });
  }
}

function isPrime(number: number): boolean {
  if (number < 4) return number > 1;
  if (number % 2 === 0) return false;
  for (let factor = 3; factor * factor <= number; factor += 2) if (number % factor === 0) return false;
  return true;
}

function checkWarmup(warmup: LoadBalancerSettings['warmup'], path: string, findings: Findings): void {
  if (warmup === undefined) return;
  if (warmup.duration === undefined) findings.missing(path, 'duration', 'duration: 60s');
  checkDuration(warmup.duration, `${path}.duration`, findings);
  if (Number(warmup.minimumPercent ?? 0) > 100) {
    findings.add('LTN2032', `${path}.minimumPercent`, {
      value: String(warmup.minimumPercent),
      min: '0',
      max: '100',
    });
  }
  if (warmup.aggression !== undefined && Number(warmup.aggression) <= 0) {
    const args = {
      value: String(warmup.aggression),
      problem: 'it must be above 0',
      cure: 'Write 1.0 for a linear start.',
    };
    findings.add('LTN2034', `${path}.aggression`, args);
  }
}

/** Checks localityLbSetting of a DestinationRule or of mesh config. */
export function checkLocalityLb(
  setting: LocalityLoadBalancerSetting | undefined,
  hasOutlierDetection: boolean,
  path: string,
  findings: Findings,
): void {
  if (setting === undefined) return;
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  if (distribute.length > 0 && failover.length > 0) {
    findings.add('LTN2038', path, { field: 'distribute', other: 'failover' });
    return;
  }
  const topology = failoverPriority.find((label) => TOPOLOGY_LABELS.has(label));
  if (failover.length > 0 && topology !== undefined) {
    findings.add('LTN2038', path, { field: 'failover', other: `failoverPriority: ${topology}` });
    return;
  }
  for (const [index, part] of distribute.entries())
    checkDistribute(part, `${path}.distribute[${index}]`, findings);
  reportLocalities(
    distribute.map((part) => part.from ?? ''),
    `${path}.distribute`,
    findings,
  );
  checkFailover({ failover, failoverPriority }, hasOutlierDetection, path, findings);
}

function checkDistribute(
  part: { readonly to?: Readonly<Record<string, number>> },
  path: string,
  findings: Findings,
): void {
  const to = part.to ?? {};
  const weights = Object.keys(to).map((locality) => to[locality] ?? 0);
  for (const weight of weights) {
    if (weight < 1 || weight > 100)
      findings.add('LTN2032', `${path}.to`, { value: String(weight), min: '1', max: '100' });
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total !== 100) findings.add('LTN2202', `${path}.to`, { total: String(total) });
  reportLocalities(Object.keys(to), `${path}.to`, findings);
}

/** Checks zoneAwareLbSetting of a DestinationRule or of mesh config. */
export function checkZoneAwareLb(
  setting: ZoneAware | undefined,
  hasOutlierDetection: boolean,
  path: string,
  findings: Findings,
): void {
  if (setting === undefined) return;
  const { failover = [], failoverPriority = [] } = setting;
  for (const [index, label] of failoverPriority.entries()) {
    if (!TOPOLOGY_LABELS.has(label)) continue;
    const args = {
      value: label,
      problem: 'zone-aware balancing orders regions and zones itself',
      cure: 'Remove it.',
    };
    findings.add('LTN2034', `${path}.failoverPriority[${index}]`, args);
  }
  checkFailover({ failover, failoverPriority }, hasOutlierDetection, path, findings);
}

interface Failover {
  readonly failover: readonly { readonly from?: string; readonly to?: string }[];
  readonly failoverPriority: readonly string[];
}

function checkFailover(
  setting: Failover,
  hasOutlierDetection: boolean,
  path: string,
  findings: Findings,
): void {
  if (setting.failover.length + setting.failoverPriority.length > 0 && !hasOutlierDetection) {
    findings.add('LTN2042', path, {
      field: 'outlierDetection',
      when: 'for failover, to see which endpoints fail',
    });
  }
  for (const [index, { from = '', to = '' }] of setting.failover.entries()) {
    const at = `${path}.failover[${index}]`;
    const cure = 'Write the names of two regions.';
    const value = `${show(from)} to ${show(to)}`;
    if (from === to) findings.add('LTN2034', at, { value, problem: 'both regions are the same', cure });
    if (`${from}${to}`.includes('/'))
      findings.add('LTN2034', at, { value, problem: 'only regions fail over', cure });
    if (`${from}${to}`.includes('*'))
      findings.add('LTN2034', at, { value, problem: 'wildcards are not possible', cure });
  }
}

function reportLocalities(localities: readonly string[], path: string, findings: Findings): void {
  const problem = localitiesProblem(localities);
  if (problem !== '') findings.add('LTN2201', path, { problem });
}

/**
 * Why localities region/zone/subzone cannot stand beside each other, '' when they can: none contains another, and each may
 * end in a wildcard.
 */
export function localitiesProblem(localities: readonly string[]): string {
  const seen: string[][] = [];
  for (const locality of localities) {
    const star = locality.indexOf('*');
    if (star >= 0 && star < locality.length - 1)
      return `${show(locality)} has a wildcard that is not at its end`;
    const [region = '', zone, ...subzone] = locality.split('/');
    const parts = [region, zone, subzone.length > 0 ? subzone.join('/') : undefined].filter(
      (part) => part !== undefined,
    );
    if (parts.includes('')) return `${show(locality)} has an empty part`;
    const overlapping = seen.find((other) => contains(other, parts) || isPrefix(parts, other));
    if (overlapping !== undefined) return `${show(locality)} overlaps with ${show(overlapping.join('/'))}`;
    seen.push(parts);
  }
  return '';
}

/** True when `inner` continues `outer`; a wildcard behind narrower localities is the rest, as in Istio. */
function isPrefix(outer: readonly string[], inner: readonly string[]): boolean {
  return outer.every((part, level) => part === inner[level]);
}

/** True when the locality `outer` contains `inner`; "*" stands for every name at its level. */
function contains(outer: readonly string[], inner: readonly string[]): boolean {
  return outer.every((part, level) => part === '*' || part === inner[level]);
}
