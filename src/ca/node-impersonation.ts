/**
 * Node proxies (ztunnel) that ask for certificates of the workloads on their node: only accounts that the operator trusts, only
 * with a token that is bound to their pod, and only for accounts under which a pod runs on the same node.
 * Source: istio security/pkg/server/ca/node_auth.go; the trust domain is looked at too.
 */
import { fail, ok, type Result } from '#base/result.ts';
import { parseWorkloadIdentity, type WorkloadIdentity } from '#identity/spiffe.ts';
import type { Caller } from './caller.ts';

/** A pod, as far as this goes. */
export interface NodePod {
  readonly uid: string;
  readonly serviceAccount: string;
  /** '' while it is on none. */
  readonly nodeName: string;
}

export interface NodeImpersonationOptions {
  /** `namespace/service account`. */
  readonly trustedAccounts: ReadonlySet<string>;
  readonly podOf: (namespace: string, name: string) => NodePod | undefined;
  /** True when a pod of the account is on the node. */
  readonly runsOn: (nodeName: string, account: WorkloadIdentity) => boolean;
}

/** Decides for whom a caller may ask besides itself. */
export class NodeImpersonation {
  readonly #options: NodeImpersonationOptions;

  constructor(options: NodeImpersonationOptions) {
    this.#options = options;
  }

  /** The identity that was asked for, as `caller` may have it. Errors: why not, for the log. */
  authorize(caller: Caller, asked: string): Result<WorkloadIdentity, string> {
    const { trustedAccounts, podOf, runsOn } = this.#options;
    const { identity, pod } = caller;
    if (!trustedAccounts.has(`${identity.namespace}/${identity.serviceAccount}`))
      return fail('the caller is no trusted node account');
    if (caller.via !== 'token' || pod === undefined) return fail('the caller showed no token of a pod');
    const wanted = parseWorkloadIdentity(asked);
    if (!wanted.ok) return fail(`the identity asked for: ${wanted.error}`);
    if (wanted.value.trustDomain !== identity.trustDomain)
      return fail('the identity asked for is of another trust domain');
    const known = podOf(identity.namespace, pod.name);
    // A pod that is made again under its name is another one.
    if (known?.uid !== pod.uid || pod.uid === '') return fail("the caller's pod is not known");
    if (known.serviceAccount !== identity.serviceAccount)
      return fail("the caller's pod runs under another account");
    if (known.nodeName === '' || !runsOn(known.nodeName, wanted.value))
      return fail("no pod of the account that was asked for runs on the caller's node");
    return ok(wanted.value);
  }
}

/** For a CA without node proxies. */
export const NO_IMPERSONATION: NodeImpersonation = new NodeImpersonation({
  trustedAccounts: new Set(),
  podOf: () => undefined,
  runsOn: () => false,
});
