/**
 * Brings pushed trust bundles to where certificates are checked. One that can be read is served to Envoy at once, and
 * acknowledged when Envoy has taken it: the control plane counts on that before a new root signs. One that is broken, or that
 * Envoy refuses, leaves the last good one in use. Only for streams over TLS: what somebody could have changed is not asked for.
 */
import { SingletonFeed } from './singleton-feed.ts';
import { decodeTrustBundle, type PushedBundle } from './trust-bundle-message.ts';
import type { AgentParts } from './workload-certificate.ts';

export const TRUST_BUNDLE_TYPE = 'type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig';

/** Who holds the bundle. */
export interface BundleHolder {
  readonly pushed: PushedBundle | undefined;
  /** Resolves when the secrets are made of it; undefined: of what the authority said. */
  believe(bundle: PushedBundle | undefined): Promise<void>;
}

/** Who hands it on. */
export interface BundleServer {
  /** Resolves when those who asked have answered: '' when they took it, else the reason. */
  rootsInPlace(): Promise<{ readonly isRefused: boolean; readonly problem: string }>;
}

/** Feeds a holder from the streams that it joins. */
export function openTrustBundleFeed(
  holder: BundleHolder,
  server: BundleServer,
  { clock, log, metrics }: Pick<AgentParts, 'clock' | 'log' | 'metrics'>,
): SingletonFeed {
  let queue: Promise<string> = Promise.resolve('');
  async function put(bundle: PushedBundle): Promise<string> {
    const before = holder.pushed;
    await holder.believe(bundle);
    const { isRefused, problem: unanswered } = await server.rootsInPlace();
    const problem = unanswered || bundle.problem;
    if (problem === '') return '';
    metrics.add('lateen_agent_trust_refused_total');
    log.warn('a trust bundle is not in place', { reason: problem });
    if (isRefused) await holder.believe(before);
    return problem;
  }
  return new SingletonFeed(TRUST_BUNDLE_TYPE, (message) => {
    // Without a bundle the last one stays: nobody is ever told to believe nobody.
    if (message === undefined) return '';
    const bundle = decodeTrustBundle(message, holder.pushed, clock.nowMs());
    if (!bundle.ok) {
      metrics.add('lateen_agent_trust_refused_total');
      log.warn('a trust bundle was refused; the last good one stays', { reason: bundle.error });
      return bundle.error;
    }
    queue = queue.then(() => put(bundle.value));
    return queue;
  });
}
