/** The names under which the control plane's own servers are called. Source: istio pilot/pkg/bootstrap/server.go getDNSNames. */
import type { ServerName } from '#ca/signer.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';

/** DNS names of the Services in front of a control plane in this namespace, and what the operator added. */
export function serviceNames(
  namespace: string,
  { revision, customHosts }: Pick<DiscoveryEnvironment, 'revision' | 'customHosts'>,
): readonly string[] {
  const services = ['istiod', 'istiod-remote', 'istio-pilot'];
  if (revision !== '' && revision !== 'default') services.push(`istiod-${revision}`);
  const known = services.map((service) => `${service}.${namespace}.svc`);
  return [...new Set([...known, `istiod.${namespace}`, ...customHosts])];
}

/** What a server's certificate says: these names, and this machine. */
export function certificateNames(dnsNames: readonly string[]): readonly ServerName[] {
  const names = dnsNames.map((value) => ({ type: 'dns', value }) as const);
  return [...names, { type: 'dns', value: 'localhost' }, { type: 'ip', value: '127.0.0.1' }];
}
