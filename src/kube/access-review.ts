/** Asks the API server whether somebody else may do something (SubjectAccessReview); changes nothing. */
import type { KubeClient } from './kube-client.ts';

const REVIEWS = '/apis/authorization.k8s.io/v1/subjectaccessreviews';

/** Who, and what of which namespace; the resource belongs to the core group. */
export interface AccessQuestion {
  readonly user: string;
  readonly namespace: string;
  readonly verb: string;
  readonly resource: string;
}

/** Errors: rejects when the server does not answer, or not with a review. */
export async function reviewAccess(
  client: Pick<KubeClient, 'postJson'>,
  { user, ...resourceAttributes }: AccessQuestion,
): Promise<boolean> {
  const value = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: { user, resourceAttributes },
  };
  const answer = (await client.postJson({ path: REVIEWS, value })) as {
    readonly status?: { readonly allowed?: unknown };
  } | null;
  const allowed = answer?.status?.allowed;
  if (typeof allowed !== 'boolean') throw new Error('the API server gave no review');
  return allowed;
}
