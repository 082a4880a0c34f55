/** The checks of single values that file scalars.json of suite validation names, each by the function that our rules use. */
import { isIp, parseCidr } from '#base/cidr.ts';
import { checkDirectResponse } from '#api/http-action-rules.ts';
import { providerServiceProblem } from '#api/extension-provider-rules.ts';
import { checkPort, checkPortName } from '#api/field-rules.ts';
import { Findings } from '#api/findings.ts';
import { checkMatchHeaderName, checkStrictHeaderName, formatProblem } from '#api/header-rules.ts';
import { hostProblem, wildcardHostProblem } from '#api/host-rules.ts';
import { localitiesProblem } from '#api/load-balancer-rules.ts';
import { checkTrustDomain } from '#api/mesh-config-rules.ts';
import { checkHostPort } from '#api/host-port-rules.ts';
import { connectionAgeProblem } from '#main/discovery-flags.ts';

type Check = (value: unknown) => boolean;

const CHECKS: Readonly<Record<string, Check>> = {
  ExtensionProviderService: (value) => providerServiceProblem(String(value)) === '',
  FQDN: (value) => hostProblem(String(value)) === '',
  HTTPHeaderNameOrJwtClaimRoute: found((value, findings) =>
    checkMatchHeaderName(String(value), '', findings),
  ),
  HTTPHeaderValue: (value) => formatProblem(String(value)) === '',
  HTTPStatus: found((value, findings) => checkDirectResponse({ status: Number(value) }, '', findings)),
  IPAddress: (value) => isIp(String(value)),
  IPSubnet: (value) => parseCidr(String(value)).ok,
  Localities: (value) => localitiesProblem(value as readonly string[]) === '',
  // Durations of Go are numbers of nanoseconds.
  MaxServerConnectionAge: (value) => connectionAgeProblem(`${Number(value)}ns`) === '',
  Port: found((value, findings) => checkPort(Number(value), '', findings)),
  PortName: found((value, findings) => checkPortName(String(value), '', findings)),
  ProxyAddress: found((value, findings) => checkHostPort(String(value), '', findings)),
  StrictHTTPHeaderName: found((value, findings) => checkStrictHeaderName(String(value), '', findings)),
  TrustDomain: found((value, findings) => checkTrustDomain(String(value), '', findings)),
  WildcardDomain: (value) => wildcardHostProblem(String(value)) === '',
};

/** Whether our check takes the value; undefined for a check that we do not have. */
export function isAccepted(check: string, value: unknown): boolean | undefined {
  return Object.hasOwn(CHECKS, check) ? CHECKS[check]?.(value) : undefined;
}

function found(check: (value: unknown, findings: Findings) => void): Check {
  return (value) => {
    const findings = new Findings();
    check(value, findings);
    return !findings.hasErrors;
  };
}
