/**
 * Who may read the keys in the Secrets of its own namespace. What a cluster allows is asked of its API server by a controller
 * and comes back here as input; a mesh without a cluster allows it to everybody who has proven an identity.
 */
import type { Collection, Fetch } from '#collections/collection.ts';

/** An answer. Keyed `namespace/serviceAccount`, or `*` for everybody; no answer yet means no. */
export interface SecretAccess {
  readonly isAllowed: boolean;
}

/** Key of the answer for everybody. */
export const EVERYBODY = '*';

/** Key of the answer for one service account. */
export function accessKey(asker: { readonly namespace: string; readonly serviceAccount: string }): string {
  return `${asker.namespace}/${asker.serviceAccount}`;
}

/** Whether a service account may read keys in its namespace. Source: istio credentials/kube/secrets.go Authorize. */
export function mayReadKeys(
  fetch: Fetch,
  access: Collection<SecretAccess>,
  asker: { readonly namespace: string; readonly serviceAccount: string },
): boolean {
  return (fetch.get(access, EVERYBODY) ?? fetch.get(access, accessKey(asker)))?.isAllowed === true;
}
