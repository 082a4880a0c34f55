/**
 * Where an API server is and how to speak to it: server, TLS, credential. Filled from a kubeconfig or from the files that
 * Kubernetes puts into a pod; the client knows nothing of either.
 */
import type { Secret } from '#base/secret.ts';

/** TLS towards the API server; PEM texts. */
export interface KubeTls {
  /** Undefined: the roots of the system. */
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: Secret;
  /** Name to check the server's certificate against, when it is not the URL's host. */
  readonly serverName?: string;
  readonly insecure: boolean;
}

/** A program that prints an ExecCredential (client.authentication.k8s.io). */
export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment that the composition root hands in. */
  readonly env: ReadonlyMap<string, string>;
  readonly installHint: string;
  /** Tells the program about the cluster (KUBERNETES_EXEC_INFO.spec.cluster). */
  readonly provideClusterInfo: boolean;
}

/** How requests are authenticated, besides a client certificate. */
export type KubeCredential =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: Secret }
  | { readonly kind: 'tokenFile'; readonly file: string }
  | { readonly kind: 'basic'; readonly user: string; readonly password: Secret }
  | { readonly kind: 'exec'; readonly plugin: ExecPlugin };

/** One API server as seen by one user. */
export interface KubeTarget {
  /** URL without a slash at the end; a path prefix is kept. */
  readonly server: string;
  readonly tls: KubeTls;
  readonly credential: KubeCredential;
  /** Namespace of the context, `default` when it names none. */
  readonly namespace: string;
}
