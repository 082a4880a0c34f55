/** Who may read Secrets of a cluster: its API server is asked as of the proxies' service accounts. */
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { SecretAccessController } from '#controllers/secret-access.ts';
import { reviewAccess } from '#kube/access-review.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import type { Mesh } from './mesh.ts';

/** Takes the place of "everybody may" until disposed of. Source: istio credentials/kube/secrets.go Authorize. */
export function reviewSecretAccess(
  mesh: Mesh,
  client: Pick<KubeClient, 'postJson'>,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Disposable {
  return new SecretAccessController({
    engine: mesh.engine,
    wanted: mesh.graph.secretWishes,
    access: mesh.secretAccess,
    review: ({ namespace, serviceAccount }) => {
      const user = `system:serviceaccount:${namespace}:${serviceAccount}`;
      return reviewAccess(client, { user, namespace, verb: 'list', resource: 'secrets' });
    },
    clock,
    log,
    changed: () => mesh.driver.poke(),
  });
}
