/**
 * Opens the webhooks' port when there are API servers that could ask: with a cluster, once the authority is there that signs the
 * port's certificate. The certificate is renewed, and follows the authority, as long as the port is open.
 */
import type { AsyncScope } from '#base/disposable.ts';
import { systemRng } from '#base/rng.ts';
import {
  issueServerCertificate,
  type ServerCertificate,
  ServerCertificateKeeper,
} from '#ca/server-certificate.ts';
import { WebhookServer, type WebhookTls } from '#doors/webhook-server.ts';
import { addressOf } from './discovery-flags.ts';
import type { SecureDoorParts } from './secure-door.ts';
import { certificateNames, serviceNames } from './server-names.ts';
import type { XdsDoor } from './xds-door.ts';

/** Resolves when the port is open, at once where none is wanted. Errors: a port that is taken rejects with the system's error. */
export async function openWebhookDoor(
  { flags, environment, kube, readiness, metrics, clock, log }: SecureDoorParts,
  { authority }: XdsDoor,
  scope: AsyncScope,
): Promise<void> {
  const address = addressOf(flags.httpsAddr);
  if (address === undefined || authority === undefined || kube === undefined || scope.isDisposed) return;
  const names = certificateNames(serviceNames(flags.namespace, environment));
  const first = await issueServerCertificate(authority, names);
  if (!first.ok) throw new Error(`no certificate for the webhooks: ${first.error}`);
  const tls = tlsOf(first.value);
  const server = new WebhookServer({ tls, readiness, metrics: metrics.registry, log: log.scope('webhook') });
  scope.add(server);
  const parts = { ...authority, clock, rng: systemRng(), log: log.scope('ca') };
  const keeper = new ServerCertificateKeeper(parts, names, first.value, (next) => server.setTls(tlsOf(next)));
  scope.add({ [Symbol.asyncDispose]: async () => keeper[Symbol.dispose]() });
  const port = await server.listen(address.host, address.port);
  log.info('webhooks', { port });
}

function tlsOf({ chainPem, privateKey }: ServerCertificate): WebhookTls {
  return { cert: chainPem, key: privateKey.reveal() };
}
