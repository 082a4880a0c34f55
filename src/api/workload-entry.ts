/**
 * WorkloadEntry: one workload instance outside of Kubernetes; also the form of ServiceEntry endpoints.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import { isIp } from '#base/cidr.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { WorkloadEntryJson } from '#proto/istio/networking/v1alpha3/workload_entry_pb.ts';
import { fieldPath } from './field-path.ts';
import {
  checkMatchLabels,
  checkPort,
  checkPortName,
  checkUnixAddress,
  isUnixAddress,
} from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { hostProblem } from './host-rules.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of a WorkloadEntry, and one entry of a ServiceEntry's endpoints. */
export type WorkloadEntrySpec = WorkloadEntryJson;

/** Findings about a WorkloadEntry beyond its schema. Source: istio pkg/config/validation ValidateWorkloadEntry. */
export function validateWorkloadEntry(object: MeshObject<WorkloadEntrySpec>): Diagnostic[] {
  const findings = new Findings(object);
  checkWorkloadEntry(object.spec, { allowHostNames: true }, 'spec', findings);
  return findings.all;
}

/** What differs between a WorkloadEntry of its own and an endpoint of a ServiceEntry. */
export interface WorkloadEntryRules {
  readonly allowHostNames: boolean;
  /** Port names of the ServiceEntry that the endpoint belongs to. */
  readonly servicePorts?: ReadonlySet<string>;
}

/** Checks address, ports and labels. Source: validateWorkloadEntry. */
export function checkWorkloadEntry(
  entry: WorkloadEntrySpec,
  rules: WorkloadEntryRules,
  path: string,
  findings: Findings,
): void {
  const { address = '', network = '', ports = {} } = entry;
  const isUnix = isUnixAddress(address);
  if (address === '') {
    if (network === '') findings.missing(path, 'address', 'address: 10.1.2.3');
    else findings.add('LTN2042', path, { field: 'address', when: `beside the network ${show(network)}` });
  } else if (isUnix) {
    checkUnixAddress(address, `${path}.address`, findings);
    if (Object.keys(ports).length > 0)
      findings.add('LTN2037', `${path}.ports`, { field: 'ports', when: 'with a Unix socket' });
  } else checkEndpointAddress(address, rules.allowHostNames, `${path}.address`, findings);
  checkEndpointPorts(ports, rules.servicePorts, `${path}.ports`, findings);
  checkMatchLabels(entry.labels, `${path}.labels`, findings);
  if (isUnix && rules.servicePorts !== undefined && rules.servicePorts.size !== 1) {
    findings.add('LTN2034', `${path}.address`, {
      value: show(address),
      problem: 'an endpoint at a Unix socket serves exactly one port',
      cure: 'Keep one port in spec.ports.',
    });
  }
}

/** An IP address, or where allowed a DNS name. */
export function checkEndpointAddress(
  address: string,
  allowHostNames: boolean,
  path: string,
  findings: Findings,
): void {
  if (isIp(address)) return;
  if (!allowHostNames) findings.add('LTN2007', path, { address: show(address) });
  else if (hostProblem(address) !== '') findings.add('LTN2009', path, { address: show(address) });
}

/** Ports of an endpoint: names that the service knows, numbers in range. */
export function checkEndpointPorts(
  ports: Readonly<Record<string, number>>,
  servicePorts: ReadonlySet<string> | undefined,
  path: string,
  findings: Findings,
): void {
  for (const name of Object.keys(ports)) {
    const at = fieldPath(path, name);
    if (servicePorts?.has(name) === false)
      findings.add('LTN2034', at, {
        value: show(name),
        problem: 'the service has no port of that name',
        cure: 'Use a port name of spec.ports.',
      });
    checkPortName(name, at, findings);
    checkPort(ports[name], at, findings);
  }
}
