/**
 * The API server that this control plane works with: found by kubeconfig or by the service account of the pod, spoken to by
 * a client for each purpose. What others cause (reviews of strangers' tokens, registrations of workloads) has an allowance of requests
 * of its own, so that a flood of them holds up no watch.
 */
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { type Result, ok } from '#base/result.ts';
import { readInCluster } from '#kube/in-cluster.ts';
import { KubeClient } from '#kube/kube-client.ts';
import type { KubeTarget } from '#kube/kube-target.ts';
import { readKubeconfig } from '#kube/kubeconfig.ts';
import type { DiscoveryFlags } from './discovery-flags.ts';
import { VERSION } from './version.ts';

export interface KubeAccess extends Disposable {
  /** For what we do ourselves. */
  readonly client: KubeClient;
  /** For what callers make us ask. */
  readonly reviewer: KubeClient;
  /** For what workloads register. */
  readonly registrar: KubeClient;
}

/** Undefined where no cluster is asked for. Errors: throws a text for people. */
export function openKubeAccess(flags: DiscoveryFlags, clock: Clock): KubeAccess | undefined {
  const found = findKubeTarget(flags);
  if (!found.ok) throw new Error(found.error);
  const target = found.value;
  if (target === undefined) return undefined;
  const options = { clock, env: process.env, userAgent: `lateen-discovery/${VERSION}` };
  const client = new KubeClient(target, options);
  const reviewer = new KubeClient(target, options);
  const registrar = new KubeClient(target, options);
  return {
    client,
    reviewer,
    registrar,
    [Symbol.dispose]() {
      for (const one of [client, reviewer, registrar]) one[Symbol.dispose]();
    },
  };
}

/** The API server to follow; undefined when none is asked for. Errors: a text for people. */
function findKubeTarget(flags: DiscoveryFlags): Result<KubeTarget | undefined, string> {
  if (!flags.registries.includes('Kubernetes')) return ok(undefined);
  if (flags.kubeconfig !== '') return readKubeconfig(flags.kubeconfig);
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '' } = process.env;
  if (host !== '') return readInCluster({ host, port });
  if (flags.configDir !== '') return ok(undefined);
  const { KUBECONFIG = '', HOME = '.' } = process.env;
  return readKubeconfig(KUBECONFIG === '' ? join(HOME, '.kube', 'config') : KUBECONFIG);
}
