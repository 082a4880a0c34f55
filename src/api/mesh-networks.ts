/**
 * Mesh networks: which endpoints lie in which network, and by which gateways a network is reached. Read from the file of
 * --networksConfig or from key meshNetworks of the mesh's ConfigMap.
 * Source: istio mesh/v1alpha1 MeshNetworks, pkg/config/validation/agent/validation.go ValidateMeshNetworks.
 */
import { isIp, parseCidr } from '#base/cidr.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { hasErrors } from '#base/diagnostic-catalog.ts';
import {
  type MeshNetworksJson,
  MeshNetworksSchema,
  type NetworkJson,
} from '#proto/istio/mesh/v1alpha1/network_pb.ts';
import { fieldPath } from './field-path.ts';
import { checkPort } from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { hostProblem } from './host-rules.ts';
import { isDnsLabel } from './name-rules.ts';
import { messageDecoder } from './schema-decode.ts';

/** All networks by name, in proto3 JSON. */
export type MeshNetworks = MeshNetworksJson;

const decodeMeshNetworks = messageDecoder(MeshNetworksSchema);

/** No networks: what holds until somebody names some. */
export const NO_NETWORKS: MeshNetworks = {};

/** Reads networks from a plain value; `networks` is undefined where an error forbids to use them. */
export function parseMeshNetworks(value: unknown): {
  readonly networks: MeshNetworks | undefined;
  readonly diagnostics: readonly Diagnostic[];
} {
  const findings = new Findings();
  const decoded = decodeMeshNetworks(value ?? {}, '', findings) as MeshNetworks | undefined;
  const networks = decoded?.networks ?? {};
  for (const name of Object.keys(networks)) {
    checkNetwork(networks[name] ?? {}, fieldPath('networks', name), findings);
  }
  return {
    networks: hasErrors(findings.all) ? undefined : (decoded ?? NO_NETWORKS),
    diagnostics: findings.all,
  };
}

function checkNetwork(
  { endpoints = [], gateways = [] }: NetworkJson,
  path: string,
  findings: Findings,
): void {
  for (const [index, { fromCidr, fromRegistry }] of endpoints.entries()) {
    const at = `${path}.endpoints[${index}]`;
    if (fromCidr !== undefined && !parseCidr(fromCidr).ok) {
      findings.add('LTN2008', `${at}.fromCidr`, { address: show(fromCidr) });
    }
    if (fromRegistry !== undefined && !isDnsLabel(fromRegistry)) {
      const cure = 'Write the name of a cluster: letters, digits and "-".';
      const args = { value: show(fromRegistry), problem: 'it is not the name of a registry', cure };
      findings.add('LTN2034', `${at}.fromRegistry`, args);
    }
  }
  for (const [index, { registryServiceName, address, port }] of gateways.entries()) {
    const at = `${path}.gateways[${index}]`;
    const problem = registryServiceName === undefined ? '' : hostProblem(registryServiceName);
    if (problem !== '') {
      findings.add('LTN2001', `${at}.registryServiceName`, { host: show(registryServiceName), problem });
    }
    if (address !== undefined && !isIp(address) && hostProblem(address) !== '') {
      findings.add('LTN2009', `${at}.address`, { address: show(address) });
    }
    checkPort(port, `${at}.port`, findings);
  }
}
