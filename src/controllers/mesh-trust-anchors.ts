/**
 * Roots of others that mesh config names (caCertificates): certificates as they stand, and SPIFFE bundles behind URLs, which are
 * fetched and kept fresh. A bundle that cannot be fetched again stays as it was last good; what is no certificate of an authority costs
 * only itself. Each of the two is handed on whole, and only when it changed.
 * Costs one request per URL and refresh. The roots of one of the two are at most 40: what agents take is bounded.
 * Source: istio pilot/pkg/trustbundle/trustbundle.go, pkg/spiffe RetrieveSpiffeBundleRootCerts.
 */
import { Backoff } from '#base/backoff.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Clock } from '#base/clock.ts';
import { deepEqual } from '#base/deep-equal.ts';
import { toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Rng } from '#base/rng.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import { parseCertificates, readCertificate } from '#identity/certificate.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { FetchText } from './key-sets.ts';

/** Whose roots they are: written in mesh config, or behind URLs that it names. */
export type AnchorSource = 'mesh-config' | 'spiffe-bundles';

export interface MeshTrustAnchorOptions {
  readonly engine: Engine;
  readonly meshConfig: Collection<MeshConfigJson>;
  readonly fetchText: FetchText;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  /** All roots of one source, PEM, one certificate each, in byte order. */
  readonly publish: (source: AnchorSource, rootPems: readonly string[]) => void;
  /** Between fetches of a bundle that is well. */
  readonly refreshMs: number;
}

/** Istio looks again every half hour. */
export const BUNDLE_REFRESH_MS = 30 * 60_000;
const FETCH_TIMEOUT_MS = 10_000;
const FIRST_RETRY_MS = 1_000;
const MAX_ROOTS = 100;
const MAX_HANDED_ON = 40;

/** Follows mesh config until disposed of. */
export class MeshTrustAnchors implements Disposable {
  readonly #options: MeshTrustAnchorOptions;
  readonly #bundles = new Map<string, KeptBundle>();
  readonly #published = new Map<AnchorSource, readonly string[]>();
  readonly #watch: Disposable;

  constructor(options: MeshTrustAnchorOptions) {
    this.#options = options;
    for (const [, mesh] of options.meshConfig.all()) this.#follow(mesh);
    this.#watch = options.engine.watch(options.meshConfig, (changes) => {
      for (const { now } of changes) this.#follow(now ?? {});
    });
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const bundle of this.#bundles.values()) bundle[Symbol.dispose]();
    this.#bundles.clear();
  }

  #follow({ caCertificates = [] }: MeshConfigJson): void {
    const pems = caCertificates.flatMap(({ pem }) => (pem ? [pem] : []));
    this.#publish(
      'mesh-config',
      pems.flatMap((pem) => this.#readPem(pem)),
    );
    const urls = new Set(
      caCertificates.flatMap(({ spiffeBundleUrl: url }) => (url ? [withScheme(url)] : [])),
    );
    for (const [url, bundle] of this.#bundles) {
      if (urls.has(url)) continue;
      bundle[Symbol.dispose]();
      this.#bundles.delete(url);
    }
    for (const url of urls) {
      if (this.#bundles.has(url)) continue;
      this.#bundles.set(url, new KeptBundle(url, this.#options, () => this.#publishBundles()));
    }
    this.#publishBundles();
  }

  #publishBundles(): void {
    this.#publish(
      'spiffe-bundles',
      [...this.#bundles.values()].flatMap(({ rootPems }) => rootPems),
    );
  }

  #publish(source: AnchorSource, pems: readonly string[]): void {
    const all = [...new Set(pems)].sort(compareBytes);
    const rootPems = all.slice(0, MAX_HANDED_ON);
    if (rootPems.length < all.length)
      this.#options.log.warn('further CA certificates are not used', {
        source,
        count: all.length - rootPems.length,
      });
    if (deepEqual(this.#published.get(source) ?? [], rootPems)) return;
    this.#published.set(source, rootPems);
    this.#options.publish(source, rootPems);
  }

  #readPem(pem: string): readonly string[] {
    const parsed = parseCertificates(pem, MAX_ROOTS);
    const authorities = parsed.ok ? parsed.value.filter(({ isAuthority }) => isAuthority) : [];
    if (!parsed.ok || authorities.length < parsed.value.length) {
      const reason = parsed.ok ? 'it is not the certificate of an authority' : parsed.error;
      this.#options.log.warn('a CA certificate of mesh config is not used', { reason });
    }
    return authorities.map((root) => root.pem);
  }
}

/** One bundle that is kept. */
class KeptBundle implements Disposable {
  rootPems: readonly string[] = [];
  readonly #url: string;
  readonly #options: MeshTrustAnchorOptions;
  readonly #changed: () => void;
  readonly #backoff: Backoff;
  #timer: Disposable = toDisposable(() => {});
  #isDisposed = false;

  constructor(url: string, options: MeshTrustAnchorOptions, changed: () => void) {
    this.#url = url;
    this.#options = options;
    this.#changed = changed;
    this.#backoff = new Backoff({ initialMs: FIRST_RETRY_MS, maxMs: options.refreshMs }, options.rng);
    void this.#attempt();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#timer[Symbol.dispose]();
  }

  async #attempt(): Promise<void> {
    const { fetchText, clock, log, refreshMs } = this.#options;
    const text = await fetchText(this.#url, FETCH_TIMEOUT_MS);
    const roots = text.ok ? bundleRoots(text.value) : text;
    if (this.#isDisposed) return;
    if (roots.ok) {
      this.#backoff.reset();
      this.rootPems = roots.value;
      this.#changed();
    } else {
      log.warn('a SPIFFE bundle could not be fetched', { url: this.#url, reason: roots.error });
    }
    const delayMs = roots.ok ? refreshMs : this.#backoff.nextMs();
    this.#timer = clock.schedule(delayMs, () => void this.#attempt());
  }
}

/** Bundles come over https, whether the user wrote so or not. */
function withScheme(url: string): string {
  return url.startsWith('https://') ? url : `https://${url}`;
}

/** The authorities of a SPIFFE bundle: a JSON Web Key Set whose keys of use `x509-svid` hold one certificate each. Source: SPIFFE Trust Domain and Bundle, 4.2. */
export function bundleRoots(text: string): Result<readonly string[], string> {
  const keys = keysOf(text);
  if (keys === undefined) return fail('the answer is no bundle: it has no list "keys"');
  const certificates = keys.flatMap((key) => {
    const { use, x5c } = (key ?? {}) as { readonly use?: unknown; readonly x5c?: unknown };
    return use === 'x509-svid' ? [x5c] : [];
  });
  if (certificates.length === 0) return fail('the bundle has no certificate (no key of use "x509-svid")');
  if (certificates.length > MAX_ROOTS) return fail(`the bundle has more than ${MAX_ROOTS} certificates`);
  const pems: string[] = [];
  for (const chain of certificates) {
    const [only, ...more] = Array.isArray(chain) ? chain : [];
    const root =
      typeof only === 'string' && more.length === 0
        ? readCertificate(Buffer.from(only, 'base64'))
        : undefined;
    if (root?.isAuthority !== true) return fail('an entry is not exactly one certificate of an authority');
    pems.push(root.pem);
  }
  return ok(pems);
}

function keysOf(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const keys = (value as { readonly keys?: unknown } | null)?.keys;
    return Array.isArray(keys) ? keys : undefined;
  } catch {
    return undefined;
  }
}
