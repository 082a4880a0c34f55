/**
 * The API server as a pod sees it: address from the environment that Kubernetes sets, CA and token from the files of the
 * service account. The token is read again while it is used (token-source.ts), since the kubelet renews it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail, ok, type Result } from '#base/result.ts';
import type { KubeTarget } from './kube-target.ts';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The two variables that Kubernetes sets in each container. */
export interface InClusterEnvironment {
  readonly host: string;
  readonly port: string;
  /** Folder of token, ca.crt and namespace. */
  readonly folder?: string;
}

/** Errors: a text for people when the process does not run in a pod with a service account. */
export function readInCluster(environment: InClusterEnvironment): Result<KubeTarget, string> {
  const { host, port, folder = SERVICE_ACCOUNT } = environment;
  if (host === '' || port === '') return fail('not in a cluster: KUBERNETES_SERVICE_HOST is not set');
  try {
    return ok({
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      tls: { ca: readFileSync(join(folder, 'ca.crt'), 'utf8'), insecure: false },
      credential: { kind: 'tokenFile', file: join(folder, 'token') },
      namespace: readFileSync(join(folder, 'namespace'), 'utf8').trim(),
    });
  } catch (error) {
    return fail(`the service account cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
