/**
 * SPIFFE ids of workloads, as certificates carry them and clients check them. Pure string work; whether a certificate is
 * genuine is the business of ca/ and of Envoy.
 */

const SPIFFE = 'spiffe://';

/** The id of a service account; Kubernetes runs pods that name none as `default`. */
export function spiffeId(trustDomain: string, namespace: string, serviceAccount: string): string {
  return `${SPIFFE}${trustDomain}/ns/${namespace}/sa/${serviceAccount === '' ? 'default' : serviceAccount}`;
}

/**
 * The ids and, for each that is one of a service account, the same under every alias of the trust domain; sorted by the
 * caller. Other strings (subjectAltNames of a ServiceEntry) pass as they are.
 * Source: Istio pkg/spiffe ExpandWithTrustDomains.
 */
export function expandTrustDomains(ids: Iterable<string>, aliases: readonly string[]): ReadonlySet<string> {
  const given = [...ids];
  const all = new Set(given);
  for (const id of given) {
    const path = pathOfServiceAccount(id);
    if (path !== undefined) for (const alias of aliases) all.add(`${SPIFFE}${alias}${path}`);
  }
  return all;
}

/** `/ns/x/sa/y` of such an id. */
function pathOfServiceAccount(id: string): string | undefined {
  if (!id.startsWith(SPIFFE)) return undefined;
  const parts = id.slice(SPIFFE.length).split('/');
  const isServiceAccount = parts.length === 5 && parts[1] === 'ns' && parts[3] === 'sa';
  return isServiceAccount ? `/${parts.slice(1).join('/')}` : undefined;
}
