/**
 * Has a certificate signed through the API server (CertificateSigningRequest, certificates.k8s.io/v1): creates the request, approves
 * it, waits until its signer has answered, and takes it away again whatever came of it. Bounded in time. Knows nothing of what
 * may be asked for: whoever calls has checked the request, and checks the certificate.
 * Source: Istio security/pkg/k8s/chiron/utils.go SignCSRK8s.
 */
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { KubeClient } from './kube-client.ts';
import { readWatch } from './watch-stream.ts';

/** What is asked, of whom. */
export interface SigningRequest {
  /** PKCS#10 in PEM. */
  readonly csrPem: string;
  readonly signerName: string;
  readonly usages: readonly string[];
  readonly expirationSeconds: number;
  /** Why it is approved, for people who look at the request. */
  readonly reason: string;
}

export interface SigningLimits {
  readonly clock: Clock;
  readonly timeoutMs: number;
}

const REQUESTS = '/apis/certificates.k8s.io/v1/certificatesigningrequests';

/** Gives the certificates in PEM, as the signer wrote them. Errors: a text for the log. */
export async function signByCluster(
  client: Pick<KubeClient, 'postJson' | 'putJson' | 'getStream' | 'deleteJson'>,
  request: SigningRequest,
  { clock, timeoutMs }: SigningLimits,
): Promise<Result<string, string>> {
  const lifetime = new AbortController();
  using _limit = clock.schedule(timeoutMs, () =>
    lifetime.abort(new Error(`the signer ${request.signerName} did not answer within ${timeoutMs} ms`)),
  );
  const { signal } = lifetime;
  let made: { readonly path: string; readonly uid: string } | undefined;
  try {
    const created = record(await client.postJson({ path: REQUESTS, value: objectOf(request), signal }));
    const name = textAt(record(created['metadata']), 'name');
    const path = `${REQUESTS}/${encodeURIComponent(name)}`;
    made = { path, uid: textAt(record(created['metadata']), 'uid') };
    const value = { ...created, status: { conditions: [approval(request.reason)] } };
    const approved = record(await client.putJson({ path: `${path}/approval`, value, signal }));
    return outcomeOf(approved) ?? (await waitFor(client, { name, approved, signal, clock, timeoutMs }));
  } catch (error) {
    const reason: unknown = signal.aborted ? signal.reason : error;
    return fail(reason instanceof Error ? reason.message : String(reason));
  } finally {
    // What is left behind the API server collects after an hour.
    if (made !== undefined) void takeAway(client, made);
  }
}

async function takeAway(
  client: Pick<KubeClient, 'deleteJson'>,
  { path, uid }: { readonly path: string; readonly uid: string },
): Promise<void> {
  await client.deleteJson({ path, preconditions: { uid, resourceVersion: undefined } }).catch(() => {});
}

function objectOf({ csrPem, signerName, usages, expirationSeconds }: SigningRequest): object {
  return {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { generateName: 'csr-workload-' },
    spec: { request: Buffer.from(csrPem).toString('base64'), signerName, usages, expirationSeconds },
  };
}

function approval(reason: string): object {
  return { type: 'Approved', status: 'True', reason: 'IstiodApproved', message: reason };
}

interface Waiting {
  readonly name: string;
  /** The request as it was when it was approved: nothing is missed from there on. */
  readonly approved: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

async function waitFor(
  client: Pick<KubeClient, 'getStream'>,
  { name, approved, signal, clock, timeoutMs }: Waiting,
): Promise<Result<string, string>> {
  const query = new URLSearchParams({
    watch: '1',
    fieldSelector: `metadata.name=${name}`,
    resourceVersion: textAt(record(approved['metadata']), 'resourceVersion'),
    timeoutSeconds: String(Math.ceil(timeoutMs / 1000)),
  });
  const body = await client.getStream({ path: `${REQUESTS}?${query}`, signal });
  let outcome: Result<string, string> | undefined;
  const reading = readWatch(body, {
    clock,
    maxMs: timeoutMs,
    onEvents(events) {
      for (const { type, object } of events) {
        const gone = type === 'DELETED' ? fail('the request was taken away') : undefined;
        const broken = type === 'ERROR' ? fail('the watch of the request failed') : undefined;
        outcome ??= outcomeOf(record(object)) ?? gone ?? broken;
      }
      if (outcome !== undefined) body.destroy();
    },
  });
  // Destroying ends the reading with an error that says nothing.
  await reading.catch((error: unknown) => {
    if (outcome === undefined) throw error;
  });
  return outcome ?? fail('the signer did not answer');
}

/** Undefined while nothing is decided. */
function outcomeOf(request: Readonly<Record<string, unknown>>): Result<string, string> | undefined {
  const status = record(request['status']);
  const certificate = status['certificate'];
  if (typeof certificate === 'string' && certificate !== '')
    return ok(Buffer.from(certificate, 'base64').toString('utf8'));
  const conditions = Array.isArray(status['conditions']) ? status['conditions'].map(record) : [];
  const refusal = conditions.find(({ type }) => type === 'Denied' || type === 'Failed');
  if (refusal === undefined) return undefined;
  return fail(`the request was refused: ${textAt(refusal, 'message') || textAt(refusal, 'reason')}`);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textAt(value: Readonly<Record<string, unknown>>, name: string): string {
  const text = value[name];
  return typeof text === 'string' ? text : '';
}
