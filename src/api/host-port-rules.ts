/** Addresses of services as ProxyConfig writes them. */
import { isIp } from '#base/cidr.ts';
import { checkPort } from './field-rules.ts';
import { type Findings, show } from './findings.ts';
import { hostProblem } from './host-rules.ts';

/** host:port with a DNS name, an IPv4 address, or an IPv6 address in brackets. Source: ValidateProxyAddress. */
export function checkHostPort(address: string, path: string, findings: Findings): void {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,9})$/.exec(address);
  const host = match?.[1] ?? match?.[2] ?? '';
  if (match === null || (hostProblem(host) !== '' && !isIp(host))) {
    findings.add('LTN2034', path, {
      value: show(address),
      problem: 'it is not host:port',
      cure: 'Write name:port, 10.1.2.3:port or [2001:db8::1]:port.',
    });
  } else checkPort(Number(match[3]), path, findings);
}
