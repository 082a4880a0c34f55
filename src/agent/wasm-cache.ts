/**
 * WebAssembly modules on this machine: fetched when they are first wanted, kept by digest, looked for again as the pull policy
 * says, and dropped when nobody has wanted them for long. One fetch at a time for one URL, so that plugins with one image
 * pull it once. What is kept lies in files that Envoy reads; nothing of it stays in memory.
 * Source: istio pkg/wasm/cache.go (names, policies, defaults).
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { sha256Hex } from '#base/hash.ts';
import { Secret } from '#base/secret.ts';
import { digestHex, OCI_SCHEME, parseImageReference } from './image-reference.ts';
import { WasmFetchError } from './wasm-error.ts';
import type { WasmOptions } from './wasm-options.ts';
import type { AgentParts } from './workload-certificate.ts';

export type PullPolicy = 'unspecified' | 'if-not-present' | 'always';

/** What a plugin wants. */
export interface ModuleRequest {
  /** With scheme http, https or oci. */
  readonly url: string;
  /** Of the module, or of an image's manifest; '' for any. */
  readonly sha256: string;
  /** Name of the plugin's configuration. */
  readonly resourceName: string;
  /** Changes whenever the plugin does. */
  readonly revision: string;
  readonly timeoutMs: number;
  readonly pullPolicy: PullPolicy;
  readonly pullSecret: Secret | undefined;
}

interface CachedModule {
  readonly path: string;
  lastUsedMs: number;
}

/** What a URL last led to, and for which revision of each plugin that was found out. */
interface KnownTarget {
  digest: string;
  readonly revisions: Map<string, string>;
}

export class WasmCache implements Disposable {
  readonly #options: WasmOptions;
  readonly #parts: AgentParts;
  /** By name of the module and digest. */
  readonly #modules = new Map<string, CachedModule>();
  /** By URL. */
  readonly #targets = new Map<string, KnownTarget>();
  /** Requests under way, the last of each URL. */
  readonly #busy = new Map<string, Promise<unknown>>();
  #purge: Disposable;

  constructor(options: WasmOptions, parts: AgentParts) {
    this.#options = options;
    this.#parts = parts;
    this.#purge = this.#schedulePurge();
  }

  get size(): number {
    return this.#modules.size;
  }

  /** The file of a module. Errors: WasmFetchError, CallError, or of the file system. */
  async get(request: ModuleRequest): Promise<string> {
    const before = this.#busy.get(request.url) ?? Promise.resolve();
    const turn = before.catch(() => {}).then(() => this.#getOrFetch(request));
    this.#busy.set(request.url, turn);
    try {
      return await turn;
    } finally {
      if (this.#busy.get(request.url) === turn) this.#busy.delete(request.url);
    }
  }

  [Symbol.dispose](): void {
    this.#purge[Symbol.dispose]();
  }

  async #getOrFetch(request: ModuleRequest): Promise<string> {
    const wanted = request.sha256 || digestInUrl(request.url) || this.#knownDigest(request);
    const cached = this.#use(request, wanted);
    this.#count(`istio_agent_wasm_cache_lookup_count{hit="${cached !== undefined}"}`);
    if (cached !== undefined) return cached;
    try {
      const path = await this.#fetch(request);
      this.#count('istio_agent_wasm_remote_fetch_count{result="success"}');
      return path;
    } catch (error) {
      const result = error instanceof WasmFetchError ? error.result : 'download_failure';
      this.#count(`istio_agent_wasm_remote_fetch_count{result="${result}"}`);
      throw error;
    }
  }

  /** What the URL led to before, unless the policy wants it looked up again for this revision of the plugin. */
  #knownDigest({ url, resourceName, revision, pullPolicy }: ModuleRequest): string {
    const target = this.#targets.get(url);
    if (target === undefined) return '';
    const isKept =
      pullPolicy === 'if-not-present' ||
      (pullPolicy === 'unspecified' && !(url.startsWith(OCI_SCHEME) && url.endsWith(':latest')));
    const isSame = target.revisions.get(resourceName) === revision;
    return isKept || isSame ? target.digest : '';
  }

  #use(request: ModuleRequest, digest: string): string | undefined {
    const cached = digest === '' ? undefined : this.#modules.get(moduleKey(request.url, digest));
    if (cached === undefined) return undefined;
    cached.lastUsedMs = this.#parts.clock.monotonicMs();
    this.#remember(request, digest);
    return cached.path;
  }

  #remember({ url, resourceName, revision }: ModuleRequest, digest: string): void {
    const target = this.#targets.get(url) ?? { digest, revisions: new Map<string, string>() };
    target.digest = digest;
    target.revisions.set(resourceName, revision);
    this.#targets.set(url, target);
  }

  async #fetch(request: ModuleRequest): Promise<string> {
    const { prepareModule } = await import('./wasm-fetch.ts');
    const secret = request.pullSecret ?? (await this.#defaultCredentials());
    const parts = { ...this.#parts, limits: this.#options.limits };
    const { digest, load } = await prepareModule(request, secret, parts);
    if (request.sha256 !== '' && request.sha256 !== digest)
      throw new WasmFetchError(`its sha256 is ${digest}, not ${request.sha256}`, 'checksum_mismatched');
    return this.#use(request, digest) ?? this.#add(request, digest, await load());
  }

  /** Read each time: credentials that expire are replaced in the file. */
  async #defaultCredentials(): Promise<Secret | undefined> {
    const { dockerConfigPath } = this.#options;
    if (dockerConfigPath === undefined) return undefined;
    return new Secret(await readFile(dockerConfigPath, 'utf8'));
  }

  async #add(request: ModuleRequest, digest: string, module: Buffer): Promise<string> {
    const folder = resolve(this.#options.folder);
    const path = join(folder, sha256Hex(moduleName(request.url)), `${digest}.wasm`);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // Renamed into place: Envoy never sees half a module.
    await writeFile(`${path}.part`, module, { mode: 0o600 });
    await rename(`${path}.part`, path);
    this.#modules.set(moduleKey(request.url, digest), {
      path,
      lastUsedMs: this.#parts.clock.monotonicMs(),
    });
    this.#remember(request, digest);
    return path;
  }

  #schedulePurge(): Disposable {
    return this.#parts.clock.schedule(this.#options.purgeIntervalMs, () => {
      void this.#dropOld();
      this.#purge = this.#schedulePurge();
    });
  }

  async #dropOld(): Promise<void> {
    const endMs = this.#parts.clock.monotonicMs() - this.#options.moduleExpiryMs;
    for (const [key, { path, lastUsedMs }] of this.#modules) {
      if (lastUsedMs > endMs) continue;
      this.#modules.delete(key);
      for (const [url, { digest }] of this.#targets)
        if (moduleKey(url, digest) === key) this.#targets.delete(url);
      await rm(path, { force: true }).catch((error: unknown) =>
        this.#parts.log.warn('an unused module could not be removed', { path, error }),
      );
    }
  }

  #count(counter: Parameters<AgentParts['metrics']['add']>[0]): void {
    this.#parts.metrics.add(counter);
  }
}

/** The URL without what tells versions of an image apart. */
function moduleName(url: string): string {
  const image = url.startsWith(OCI_SCHEME) ? parseImageReference(url.slice(OCI_SCHEME.length)) : undefined;
  return image?.ok === true ? `${OCI_SCHEME}${image.value.registry}/${image.value.repository}` : url;
}

function moduleKey(url: string, digest: string): string {
  return `${moduleName(url)} ${digest}`;
}

function digestInUrl(url: string): string {
  const image = url.startsWith(OCI_SCHEME) ? parseImageReference(url.slice(OCI_SCHEME.length)) : undefined;
  return image?.ok === true ? digestHex(image.value) : '';
}
