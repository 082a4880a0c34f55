/**
 * Rules that many kinds share: ports, durations, percentages, labels, selectors, exportTo, regular expressions.
 * Each check adds findings and returns nothing; an absent value is never a problem here.
 * Source: istio pkg/config/validation/{validation,agent/validation}.go.
 */
import { isIp, parseCidr } from '#base/cidr.ts';
import { RE2JS } from 're2js';
import { parseDurationNanos } from './duration.ts';
import { fieldPath } from './field-path.ts';
import { type Findings, show } from './findings.ts';
import { isDnsLabel, isMatchLabel } from './name-rules.ts';
import { PROTOCOL_NAMES, parseProtocol } from './protocol.ts';
import { suggest } from './suggestion.ts';

const NANOS_PER_MS = 1_000_000n;
const MAX_REGEX_LENGTH = 1024;
const UNIX_PREFIX = 'unix://';

/** A port within 1..65535; absent counts as 0. */
export function checkPort(port: number | undefined, path: string, findings: Findings): void {
  const number = port ?? 0;
  if (number < 1 || number > 65535) findings.add('LTN2011', path, { port: String(number) });
}

/** A port name is a DNS label. */
export function checkPortName(name: string | undefined, path: string, findings: Findings): void {
  if (!isDnsLabel(name ?? '')) findings.add('LTN2012', path, { name: show(name ?? '') });
}

/** A protocol name that Istio knows; '' is allowed where `required` is false. */
export function checkProtocol(
  name: string | undefined,
  required: boolean,
  path: string,
  findings: Findings,
): void {
  if ((name ?? '') === '' && !required) return;
  if (parseProtocol(name) !== undefined) return;
  const suggestion = suggest(name ?? '', PROTOCOL_NAMES) ?? '';
  findings.add('LTN2013', path, { protocol: show(name ?? ''), suggestion, known: PROTOCOL_NAMES.join(', ') });
}

/** A duration of at least a millisecond in whole milliseconds. Source: agent ValidateDuration. */
export function checkDuration(duration: string | undefined, path: string, findings: Findings): void {
  if (duration === undefined) return;
  const nanos = parseDurationNanos(duration) ?? 0n;
  if (nanos < NANOS_PER_MS) findings.add('LTN2030', path, { value: duration });
  else if (nanos % NANOS_PER_MS !== 0n) findings.add('LTN2031', path, { value: duration });
}

/** A number of a spec: proto3 JSON allows words for the special values of floating point. */
export type JsonNumber = number | 'NaN' | 'Infinity' | '-Infinity';

/** A number within a range, both ends included. */
export function checkRange(
  value: JsonNumber | undefined,
  min: number,
  max: number,
  path: string,
  findings: Findings,
): void {
  if (value === undefined || (Number(value) >= min && Number(value) <= max)) return;
  findings.add('LTN2032', path, { value: String(value), min: String(min), max: String(max) });
}

/** Zero or a positive number. */
export function checkNotNegative(value: number | undefined, path: string, findings: Findings): void {
  if ((value ?? 0) < 0) findings.add('LTN2033', path, { value: String(value) });
}

/** A percentage with fractions: 0, or 0.0001 to 100. Source: validatePercentage. */
export function checkFractionalPercent(
  value: JsonNumber | undefined,
  path: string,
  findings: Findings,
): void {
  const percent = Number(value ?? 0);
  if (percent < 0 || percent > 100 || (percent > 0 && percent < 0.0001)) {
    findings.add('LTN2032', path, { value: String(percent), min: '0.0001', max: '100' });
  }
}

/** Labels that must be equal: subset labels, source labels, endpoint labels. Source: labels Instance.Validate. */
export function checkMatchLabels(
  labels: Readonly<Record<string, string>> | undefined,
  path: string,
  findings: Findings,
): void {
  for (const key of Object.keys(labels ?? {})) {
    const value = labels?.[key] ?? '';
    if (!isMatchLabel(key, value)) findings.add('LTN2020', fieldPath(path, key), { key, value });
  }
}

/** A workload selector: no empty keys, no wildcards; without labels it is a warning. Source: validateWorkloadSelector. */
export function checkSelectorLabels(
  labels: Readonly<Record<string, string>> | undefined,
  path: string,
  findings: Findings,
): void {
  const keys = Object.keys(labels ?? {});
  for (const key of keys) {
    const value = labels?.[key] ?? '';
    if (key === '') findings.add('LTN2021', path, { key, value });
    if (key.includes('*') || value.includes('*'))
      findings.add('LTN2021', fieldPath(path, key), { key, value });
  }
  if (keys.length === 0) findings.add('LTN2022', path);
}

/** One of selector, targetRef, targetRefs. */
export interface PolicyTarget {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: TargetReference;
  readonly targetRefs?: readonly TargetReference[];
}

interface TargetReference {
  readonly group?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
}

const TARGET_KINDS: ReadonlySet<string> = new Set([
  '/Service',
  'core/Service',
  'networking.istio.io/ServiceEntry',
  'gateway.networking.k8s.io/Gateway',
  'gateway.networking.k8s.io/GatewayClass',
]);

/** What a policy applies to. Source: validateOneOfSelectorType, validatePolicyTargetReference. */
export function checkPolicyTarget(spec: PolicyTarget, findings: Findings): void {
  const targetRefs = spec.targetRefs ?? [];
  const kinds = [spec.selector, spec.targetRef].filter((part) => part !== undefined).length;
  if (kinds + (targetRefs.length > 0 ? 1 : 0) > 1) findings.add('LTN2023', 'spec');
  if (spec.selector !== undefined) checkSelectorLabels(spec.selector.matchLabels, 'spec.selector', findings);
  if (spec.targetRef !== undefined) checkTargetRef(spec.targetRef, 'spec.targetRef', findings);
  for (const [index, ref] of targetRefs.entries()) checkTargetRef(ref, `spec.targetRefs[${index}]`, findings);
}

function checkTargetRef(ref: TargetReference, path: string, findings: Findings): void {
  if ((ref.name ?? '') === '') findings.missing(path, 'name');
  if ((ref.namespace ?? '') !== '') {
    findings.add('LTN2037', `${path}.namespace`, {
      field: 'namespace',
      when: 'in a targetRef: it names this namespace',
    });
  }
  const target = `${ref.group ?? ''}/${ref.kind ?? ''}`;
  if (!TARGET_KINDS.has(target)) findings.add('LTN2024', path, { target });
}

/** How exportTo may be written differs a little between kinds. */
export interface ExportToRules {
  readonly namespace: string;
  /** ServiceEntry may be exported to nobody (~). */
  readonly allowNobody?: boolean;
  /** A DestinationRule with a workload selector stays in its namespace. */
  readonly ownNamespaceOnly?: boolean;
}

/** Source: validateExportTo. */
export function checkExportTo(
  exportTo: readonly string[] | undefined,
  rules: ExportToRules,
  path: string,
  findings: Findings,
): void {
  const entries = exportTo ?? [];
  const seen = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const key = entry === '.' ? rules.namespace : entry;
    const isNobody = rules.allowNobody === true && key === '~';
    const valid = isNobody || key === '*' || key === '.' || isDnsLabel(key);
    if (seen.has(key))
      findings.add('LTN2016', `${path}[${index}]`, { problem: `${show(entry)} is listed twice` });
    else if (!valid)
      findings.add('LTN2016', `${path}[${index}]`, { problem: `${show(entry)} is not a namespace` });
    else seen.add(key);
  }
  if (rules.ownNamespaceOnly === true && seen.size > 0 && (seen.size > 1 || !seen.has(rules.namespace))) {
    findings.add('LTN2016', path, { problem: 'with a workload selector only "." is possible' });
  }
  if (seen.has('*') && entries.length > 1)
    findings.add('LTN2016', path, { problem: '"*" already means everybody' });
  if (seen.has('~') && entries.length > 1) findings.add('LTN2016', path, { problem: '"~" means nobody' });
}

/** A regular expression that RE2 accepts, of at most 1024 characters. Source: validateStringRegexp. */
export function checkRegex(regex: string, path: string, findings: Findings): void {
  const problem = regexProblem(regex);
  if (problem !== '') findings.add('LTN2053', path, { regex: show(regex), problem });
}

/** Why RE2 would refuse the expression; '' when it would not. */
export function regexProblem(regex: string): string {
  if (regex.length > MAX_REGEX_LENGTH) return `it has more than ${MAX_REGEX_LENGTH} characters`;
  try {
    RE2JS.compile(regex);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** An IP address. */
export function checkIpAddress(address: string, path: string, findings: Findings): void {
  if (!isIp(address)) findings.add('LTN2007', path, { address: show(address) });
}

/** An IP address or a CIDR range. */
export function checkAddressOrCidr(address: string, path: string, findings: Findings): void {
  if (!parseCidr(address).ok) findings.add('LTN2008', path, { address: show(address) });
}

/** True for an address of a Unix domain socket. */
export function isUnixAddress(address: string): boolean {
  return address.startsWith(UNIX_PREFIX);
}

/** unix:///absolute/path or unix://@abstract. Source: ValidateUnixAddress. */
export function checkUnixAddress(address: string, path: string, findings: Findings): void {
  const socket = address.slice(UNIX_PREFIX.length);
  if (socket.startsWith('@') || (socket.startsWith('/') && !socket.endsWith('/'))) return;
  findings.add('LTN2010', path, { path: show(socket) });
}
