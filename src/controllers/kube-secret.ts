/**
 * One Secret of a cluster as a place to keep things: created, replaced only in the version that was read, and watched. It need
 * not exist. Labels and annotations that others put on it stay.
 */
import type { Clock } from '#base/clock.ts';
import type { Rng } from '#base/rng.ts';
import { Secret } from '#base/secret.ts';
import type { FoundSecret, SecretPlace } from '#ca/shared-root.ts';
import { type KubeObject, resourcePath } from '#kube/api-resource.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import { unlessOutdated } from '#kube/kube-error.ts';
import { ResourceWatch } from '#kube/resource-watch.ts';

export interface KubeSecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Of a Secret that is created here. */
  readonly type: string;
  readonly clock: Clock;
  readonly rng: Rng;
}

interface Found extends FoundSecret {
  readonly metadata: KubeObject['metadata'];
}

export class KubeSecret implements SecretPlace {
  readonly #options: KubeSecretOptions;
  readonly #path: string;

  constructor(options: KubeSecretOptions) {
    this.#options = options;
    this.#path = resourcePath({ ...SECRETS, namespace: options.namespace });
  }

  async create(data: ReadonlyMap<string, string>): Promise<boolean> {
    const { client, namespace, name } = this.#options;
    return unlessOutdated(
      client.postJson({ path: this.#path, value: this.#object({ namespace, name }, data) }),
    );
  }

  async replace(found: FoundSecret, data: ReadonlyMap<string, string>): Promise<boolean> {
    const { client, name } = this.#options;
    const { metadata } = found as Found;
    return unlessOutdated(
      client.putJson({ path: `${this.#path}/${name}`, value: this.#object(metadata, data) }),
    );
  }

  watch(changed: (found: FoundSecret | undefined) => void): Disposable {
    const { client, namespace, name, clock, rng } = this.#options;
    let isKnown = false;
    const watch = new ResourceWatch({
      client,
      clock,
      rng,
      resource: { ...SECRETS, namespace, fieldSelector: `metadata.name=${name}` },
      listener: {
        changed({ set, remove }) {
          const object = set.find(({ metadata }) => metadata.name === name);
          if (object === undefined && !remove.includes(`${namespace}/${name}`)) return;
          isKnown = true;
          changed(object === undefined ? undefined : foundOf(object));
        },
        stateChanged({ listed }) {
          // The first list was without it.
          if (listed && !isKnown) changed(undefined);
          isKnown ||= listed;
        },
      },
    });
    watch.start();
    return watch;
  }

  #object(metadata: KubeObject['metadata'], data: ReadonlyMap<string, string>): KubeObject {
    const encoded = Array.from(data, ([key, text]) => [key, Buffer.from(text).toString('base64')] as const);
    const { type } = this.#options;
    return { apiVersion: 'v1', kind: 'Secret', metadata, type, data: Object.fromEntries(encoded) };
  }
}

const SECRETS = { group: '', version: 'v1', plural: 'secrets' };

function foundOf({ metadata, data }: KubeObject): Found {
  const texts = Object.entries(data ?? {}).map(([key, text]) => {
    return [key, new Secret(Buffer.from(String(text), 'base64').toString('utf8'))] as const;
  });
  return { data: new Map(texts), version: metadata.resourceVersion ?? '', metadata };
}
