/**
 * An API server for tests, on loopback: list with pages, watch with resume, bookmarks and compaction, permissions, tokens,
 * discovery, CRDs, creating and replacing. It can be cut, stopped and started again. Nothing is validated but versions.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { constants, createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { type ApiResource, type KubeObject, nameKey, resourceName } from './api-resource.ts';
import {
  hasOwnStatus,
  readPath,
  refuse,
  reply,
  selection,
  withStatusOf,
  writeLine,
} from './api-server-fixture-wire.ts';
import type { KubeTarget } from './kube-target.ts';

/** HTTP/2's compatible classes differ in what the fixture does not use, but for `stream`. */
type Response = ServerResponse & { readonly stream?: ServerHttp2Stream };

interface Logged {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubeObject;
}

interface Watcher {
  readonly resource: string;
  readonly wants: (object: KubeObject) => boolean;
  readonly response: Response;
}

/** A CRD's name and served versions. */
export interface ServedKind {
  readonly group: string;
  readonly plural: string;
  readonly versions: readonly string[];
}

/** Started, then stopped (and started again on the same port, if wanted). */
export class ApiServerFixture implements AsyncDisposable {
  /** Users that access reviews say yes to. */
  readonly allowed: Set<string> = new Set();
  /** What token reviews say: the status by token; other tokens are refused. */
  readonly tokens: Map<string, unknown> = new Map();
  readonly posted: unknown[] = [];
  readonly requests: string[] = [];
  readonly forbidden = new Set<string>();
  /** When set, other tokens get 401. */
  token: string | undefined;
  /** Key and certificate (PEM): HTTPS with HTTP/2. */
  readonly #tls: { readonly key: string; readonly cert: string } | undefined;
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #log = new Map<string, Logged[]>();
  readonly #crds = new Map<string, ServedKind>();
  readonly #pages = new Map<string, readonly KubeObject[]>();
  readonly #watchers = new Set<Watcher>();
  readonly #sockets = new Set<Socket>();
  #version = 100;
  /** Watches from before this version are refused. */
  #compactedAt = 0;
  #server: Server | Http2SecureServer | undefined;
  #port = 0;
  #waiting: (() => void)[] = [];

  constructor(tls?: { readonly key: string; readonly cert: string }) {
    this.#tls = tls;
  }

  get target(): KubeTarget {
    const isTls = this.#tls !== undefined;
    return {
      server: `${isTls ? 'https' : 'http'}://127.0.0.1:${this.#port}`,
      tls: { insecure: false, ...(this.#tls && { ca: this.#tls.cert }) },
      credential: { kind: 'none' },
      namespace: 'default',
    };
  }

  /** Open watches by resource name. */
  get watches(): readonly string[] {
    return [...this.#watchers].map(({ resource }) => resource).sort();
  }

  /** Connections that are open. */
  get connectionCount(): number {
    return this.#sockets.size;
  }

  async start(): Promise<void> {
    const onRequest = (request: IncomingMessage, response: Response): void => this.#answer(request, response);
    this.#server =
      this.#tls === undefined
        ? createHttpServer(onRequest)
        : createSecureServer(
            this.#tls,
            onRequest as unknown as NonNullable<Parameters<typeof createSecureServer>[1]>,
          );
    this.#server.on(this.#tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => this.#server?.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Defines a kind, as a CRD does; again with other versions to change it. */
  define(kind: ServedKind): void {
    this.#crds.set(resourceName(kind), kind);
    this.put(CRDS, { metadata: { name: resourceName(kind) }, spec: { group: kind.group } });
  }

  undefine(kind: Pick<ServedKind, 'group' | 'plural'>): void {
    const name = resourceName(kind);
    this.#crds.delete(name);
    this.remove(CRDS, `/${name}`);
    for (const key of this.#objects.get(name)?.keys() ?? []) this.remove(kind, key);
    this.cut(name);
  }

  /** Creates or replaces. */
  put(resource: Pick<ApiResource, 'group' | 'plural'>, object: KubeObject): void {
    const name = resourceName(resource);
    const objects = this.#objects.get(name) ?? new Map<string, KubeObject>();
    this.#objects.set(name, objects);
    const old = objects.get(nameKey(object));
    this.#version += 1;
    const uid = old?.metadata.uid ?? `uid-${this.#version}`;
    const metadata = { ...object.metadata, uid, resourceVersion: String(this.#version) };
    const stored = { ...object, metadata };
    objects.set(nameKey(object), stored);
    this.#tell(name, {
      version: this.#version,
      type: old === undefined ? 'ADDED' : 'MODIFIED',
      object: stored,
    });
  }

  /** Deletes by `namespace/name`. */
  remove(resource: Pick<ApiResource, 'group' | 'plural'>, key: string): void {
    const name = resourceName(resource);
    const old = this.#objects.get(name)?.get(key);
    if (old === undefined) return;
    this.#objects.get(name)?.delete(key);
    this.#version += 1;
    const metadata = { ...old.metadata, resourceVersion: String(this.#version) };
    this.#tell(name, { version: this.#version, type: 'DELETED', object: { ...old, metadata } });
  }

  /** Forgets history: watches that resume from before now get 410. */
  compact(): void {
    this.#compactedAt = this.#version;
    this.#log.clear();
  }

  /** Breaks the watches of a resource, or all, in the middle of a line. */
  cut(resource?: string): void {
    for (const watcher of this.#watchers) {
      if (resource !== undefined && watcher.resource !== resource) continue;
      this.#watchers.delete(watcher);
      watcher.response.write('{"type":"ADD');
      const { stream } = watcher.response;
      if (stream === undefined) watcher.response.socket?.destroy();
      else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  /** Tells every watch how far it has come. */
  bookmark(): void {
    for (const { response } of this.#watchers) {
      writeLine(response, {
        type: 'BOOKMARK',
        object: { metadata: { resourceVersion: String(this.#version) } },
      });
    }
  }

  /** Sends a line to the watches of a resource, whatever it is. */
  inject(resource: string, line: unknown): void {
    for (const watcher of this.#watchers)
      if (watcher.resource === resource) writeLine(watcher.response, line);
  }

  /** Resolves once the condition holds, looked at after each request. Errors: rejects after five seconds. */
  async until(condition: () => boolean): Promise<void> {
    const endMs = performance.now() + 5000;
    while (!condition()) {
      if (performance.now() > endMs) throw new Error(`not seen: ${condition}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #tell(resource: string, event: Logged): void {
    const log = this.#log.get(resource) ?? [];
    this.#log.set(resource, log);
    log.push(event);
    for (const watcher of this.#watchers)
      if (watcher.resource === resource && watcher.wants(event.object)) writeLine(watcher.response, event);
  }

  #answer(request: IncomingMessage, response: Response): void {
    const url = new URL(request.url ?? '/', 'http://localhost');
    this.requests.push(`${url.pathname}${url.search}`);
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      refuse(response, 401, 'Unauthorized', 'Unauthorized');
    } else {
      const { resource, namespace, name, version, part } = readPath(url.pathname);
      if (resource.plural === '') this.#discover(resource.group, version, response);
      else if (resource.plural.endsWith('reviews')) void this.#review(request, response);
      else if (request.method === 'DELETE')
        void this.#delete(request, response, resource, `${namespace}/${name}`);
      else if (request.method !== 'GET') void this.#write(request, response, resource, part === 'status');
      else if (name === '') this.#serve(resource, namespace, url.searchParams, response);
      else this.#serveOne(resource, `${namespace}/${name}`, response);
    }
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Reviews: what is posted comes back with the answer for its user, or its token. */
  async #review(request: IncomingMessage, response: Response): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const review = JSON.parse(text) as { readonly spec: { readonly user: string; readonly token?: string } };
    this.posted.push(review);
    const { token, user } = review.spec;
    const status =
      token === undefined
        ? { allowed: this.allowed.has(user) }
        : (this.tokens.get(token) ?? { error: 'invalid bearer token' });
    reply(response, 201, { ...review, status });
  }

  #discover(group: string, version: string, response: Response): void {
    const kinds = [...this.#crds.values()].filter((kind) => kind.group === group);
    const inVersion = kinds.filter((kind) => kind.versions.includes(version));
    if (kinds.length === 0 || (version !== '' && inVersion.length === 0)) {
      refuse(response, 404, 'NotFound', 'the server could not find the requested resource');
    } else if (version === '') {
      const versions = [...new Set(kinds.flatMap((kind) => kind.versions))];
      reply(response, 200, { kind: 'APIGroup', versions: versions.map((name) => ({ version: name })) });
    } else reply(response, 200, { resources: inVersion.map(({ plural }) => ({ name: plural })) });
  }

  /** Gives an object by `namespace/name`. */
  get(resource: Pick<ApiResource, 'group' | 'plural'>, key: string): KubeObject | undefined {
    return this.#objects.get(resourceName(resource))?.get(key);
  }

  /** DELETE takes away what has the version that it names. */
  async #delete(
    request: IncomingMessage,
    response: Response,
    resource: Pick<ApiResource, 'group' | 'plural'>,
    key: string,
  ): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { preconditions } = JSON.parse(text) as { readonly preconditions: KubeObject['metadata'] };
    const old = this.get(resource, key);
    if (old === undefined) refuse(response, 404, 'NotFound', 'not found');
    else if (preconditions.resourceVersion !== old.metadata.resourceVersion) {
      refuse(response, 409, 'Conflict', 'the object has been modified');
    } else {
      this.remove(resource, key);
      reply(response, 200, { kind: 'Status', status: 'Success' });
    }
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** POST creates, PUT replaces what has the version that it names; a status is replaced by itself only. */
  async #write(
    request: IncomingMessage,
    response: Response,
    resource: Pick<ApiResource, 'group' | 'plural'>,
    isStatus: boolean,
  ): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const object = JSON.parse(text) as KubeObject;
    const old = this.get(resource, nameKey(object));
    const { resourceVersion } = object.metadata;
    if (this.forbidden.has(resourceName(resource))) refuse(response, 403, 'Forbidden', 'forbidden');
    else if (request.method === 'POST' && old !== undefined) {
      refuse(response, 409, 'AlreadyExists', 'already exists');
    } else if (request.method === 'PUT' && old === undefined) {
      refuse(response, 404, 'NotFound', 'not found');
    } else if (resourceVersion !== undefined && resourceVersion !== old?.metadata.resourceVersion) {
      refuse(response, 409, 'Conflict', 'the object has been modified');
    } else {
      this.put(resource, hasOwnStatus(resource) ? withStatusOf(object, old, isStatus) : object);
      reply(response, request.method === 'POST' ? 201 : 200, this.get(resource, nameKey(object)));
    }
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #serveOne(resource: Pick<ApiResource, 'group' | 'plural'>, key: string, response: Response): void {
    const object = this.get(resource, key);
    if (object === undefined) refuse(response, 404, 'NotFound', 'not found');
    else reply(response, 200, object);
  }

  #serve(
    resource: Pick<ApiResource, 'group' | 'plural'>,
    namespace: string,
    query: URLSearchParams,
    response: Response,
  ): void {
    const name = resourceName(resource);
    const isCustom = resource.group.endsWith('istio.io');
    if (isCustom && !this.#crds.has(name)) {
      refuse(response, 404, 'NotFound', 'not served');
      return;
    }
    if (this.forbidden.has(name)) {
      const scope = `API group "${resource.group}" at the cluster scope`;
      const text = `${name} is forbidden: User "u" cannot list resource "${resource.plural}" in ${scope}`;
      refuse(response, 403, 'Forbidden', text);
      return;
    }
    const wants = selection(namespace, query.get('fieldSelector') ?? '');
    if (query.get('watch') === 'true')
      this.#watch({ resource: name, wants, response }, Number(query.get('resourceVersion')));
    else this.#list(name, wants, query, response);
  }

  #list(name: string, wants: Watcher['wants'], query: URLSearchParams, response: Response): void {
    const limit = Number(query.get('limit') ?? '0') || Infinity;
    const token = query.get('continue') ?? '';
    const all = [...(this.#objects.get(name)?.values() ?? [])].filter(wants);
    const items = token === '' ? all : this.#pages.get(token);
    if (items === undefined) {
      refuse(response, 410, 'Expired', 'the continue token is too old');
      return;
    }
    // A page has no kind and apiVersion on its items, and later pages show the state of the first one.
    const version = token === '' ? String(this.#version) : (token.split('/')[0] as string);
    const rest = items.slice(limit);
    const next = rest.length === 0 ? '' : `${version}/${rest.length}/${name}`;
    if (next !== '') this.#pages.set(next, rest);
    reply(response, 200, {
      metadata: { resourceVersion: version, continue: next },
      items: items.slice(0, limit),
    });
  }

  #watch(watcher: Watcher, from: number): void {
    const { resource, wants, response } = watcher;
    response.writeHead(200, { 'content-type': 'application/json' });
    if (from < this.#compactedAt) {
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
      writeLine(response, { type: 'ERROR', object });
      response.end();
      return;
    }
    response.flushHeaders();
    for (const event of this.#log.get(resource) ?? [])
      if (event.version > from && wants(event.object)) writeLine(response, event);
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
    response.on('error', () => {});
  }
}

const CRDS = { group: 'apiextensions.k8s.io', plural: 'customresourcedefinitions' };
