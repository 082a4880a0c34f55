/**
 * Rules for host names as Istio's kinds write them: fully qualified names, wildcards, namespace/host, SNI names.
 * A problem is a phrase for the findings' {problem}, '' when there is none.
 * Matching of hosts is in base/hostname.ts. Source: istio pkg/config/validation/agent/validation.go.
 */
import { isDnsLabel, isWildcardDnsLabel } from './name-rules.ts';

const MAX_HOST = 255;
const GENERATED_SNI_PREFIX = 'outbound_';

/** Why `host` is not a fully qualified or short DNS name; '' when it is one. Source: ValidateFQDN. */
export function hostProblem(host: string): string {
  return lengthProblem(host) || labelsProblem(host);
}

/** Like hostProblem, with a wildcard allowed in the first label. Source: ValidateWildcardDomain. */
export function wildcardHostProblem(host: string): string {
  const length = lengthProblem(host);
  if (length !== '') return length;
  const dot = host.indexOf('.');
  const first = dot < 0 ? host : host.slice(0, dot);
  if (!isWildcardDnsLabel(first)) return `the label "${first}" is not valid`;
  return dot < 0 ? '' : labelsProblem(host.slice(dot + 1));
}

/**
 * Like wildcardHostProblem, for hosts of VirtualServices at gateways; with `sni` also names that AUTO_PASSTHROUGH
 * gateways make (outbound_.80_._.reviews.default.svc). Source: ValidateWildcardDomainForVirtualServiceBoundToGateway.
 */
export function gatewayHostProblem(host: string, sni: boolean): string {
  if (!sni || !host.startsWith(GENERATED_SNI_PREFIX)) return wildcardHostProblem(host);
  const length = lengthProblem(host);
  if (length !== '') return length;
  const [direction, port = '', , name] = host.split('_');
  if (direction !== 'outbound' || name === undefined) return 'it should be outbound_.<port>_._.<host>';
  return /\d/.test(port) && /[a-zA-Z]/.test(name) ? '' : 'it should be outbound_.<port>_._.<host>';
}

function lengthProblem(host: string): string {
  if (host.length > MAX_HOST) return `it has more than ${MAX_HOST} characters`;
  return host.length === 0 ? 'it is empty' : '';
}

function labelsProblem(host: string): string {
  const labels = host.split('.');
  const last = labels[labels.length - 1] as string;
  if (/^[+-]?\d+$/.test(last)) return `its last label "${last}" is a number`;
  for (const [index, label] of labels.entries()) {
    const isTrailingDot = index === labels.length - 1 && label === '';
    if (!isTrailingDot && !isDnsLabel(label)) return `the label "${label}" is not valid`;
  }
  return '';
}

/** True for a wildcard that is neither `*` alone nor `*.` in front. Source: ValidatePartialWildCard. */
export function isPartialWildcard(host: string): boolean {
  return host.includes('*') && host.length !== 1 && !host.startsWith('*.');
}
