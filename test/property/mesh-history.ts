/**
 * Random histories of a mesh as plain data (so that a failing one can be kept as a file), the replay of a history, and
 * the mesh that is fed with nothing but its outcome.
 */
import fc from 'fast-check';
import { decodeObject } from '#api/decode-object.ts';
import { trimmed, withOneField } from './manifest-change.ts';
import { type MeshNetworks, NO_NETWORKS } from '#api/mesh-networks.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { objectKey } from '#base/object-ref.ts';
import type { LocalReplica } from '#model/endpoint.ts';
import type { HeldBack } from '#model/held-back.ts';
import type { ResolvedName } from '#model/resolved-name.ts';
import type { KeySetState } from '#model/jwt-key-set.ts';
import { EVERYBODY, type SecretAccess } from '#model/secret-access.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from '#model/mesh-flags.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { TrustAnchors } from '#model/trust-bundle.ts';
import {
  decodeAll,
  type MeshFixture,
  meshFixture,
  type ProxyFacts,
  proxyOf,
  readMeshConfig,
} from '../support/mesh-fixture.ts';
import { ENVOY_FILTER_KINDS } from './envoy-filter-arbitrary.ts';
import { EXTENSION_KINDS } from './extension-arbitrary.ts';
import { labels, type Manifest } from './mesh-names.ts';
import { PROXIES } from './mesh-proxies.ts';
import { meshConfigPart, meshNetworks, POLICY_KINDS, resolvedName } from './policy-arbitrary.ts';
import { keySetOutcome, TOKEN_KINDS } from './token-arbitrary.ts';
import { ROUTE_KINDS } from './route-arbitrary.ts';
import { SECRET_KINDS, secretAccess, trustAnchors } from './secret-arbitrary.ts';
import { localReplica, WORKLOAD_KINDS } from './workload-arbitrary.ts';

/** Events that concern something that is there. */
type Picking = 'delete' | 'hold' | 'holdLastGood' | 'lift' | 'stop' | 'disconnect';

/** One event; `index` picks one of what is there now. */
export type Command =
  | { readonly do: 'set'; readonly manifest: Manifest }
  /** One field of an object of that kind gets the manifest's value: most real changes are small. */
  | { readonly do: 'alter'; readonly manifest: Manifest; readonly index: number }
  | {
      readonly do: 'delete' | 'hold' | 'holdLastGood' | 'lift' | 'stop' | 'disconnect';
      readonly index: number;
    }
  /** Something small of an object goes: a field, or an item of a list. */
  | { readonly do: 'trim'; readonly index: number; readonly place: number }
  | { readonly do: 'run'; readonly replica: LocalReplica }
  | { readonly do: 'fetch'; readonly key: string; readonly state: KeySetState }
  | { readonly do: 'review'; readonly key: string; readonly answer: SecretAccess | undefined }
  | { readonly do: 'vouch'; readonly source: string; readonly anchors: TrustAnchors | undefined }
  | { readonly do: 'configure'; readonly part: object }
  | { readonly do: 'network'; readonly networks: MeshNetworks }
  | { readonly do: 'resolve'; readonly name: string; readonly resolved: ResolvedName }
  | { readonly do: 'connect'; readonly proxy: ProxyFacts }
  | { readonly do: 'settle' }
  /** The mesh is compared with a fresh one, then goes on. */
  | { readonly do: 'check'; readonly reversed: boolean }
  | { readonly do: 'step'; readonly items: number };

const manifest = fc.oneof(
  ...[
    ...ENVOY_FILTER_KINDS,
    ...ROUTE_KINDS,
    ...SECRET_KINDS,
    ...POLICY_KINDS,
    ...TOKEN_KINDS,
    ...EXTENSION_KINDS,
    ...WORKLOAD_KINDS,
  ].map(([weight, arbitrary]) => ({ weight, arbitrary })),
);
const proxy = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PROXIES) },
  // The same proxy with other labels.
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...PROXIES), labels)
      .map(([facts, other]) => ({ ...facts, labels: other })),
  },
  // The same proxy, which asks for names or not.
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...PROXIES), fc.boolean())
      .map(([facts, nameTable]) => ({ ...facts, asks: { nameTable } })),
  },
);
const index = fc.nat(40);

const pick = fc.constantFrom(
  'delete' as const,
  'hold' as const,
  'holdLastGood' as const,
  'lift' as const,
  'stop' as const,
  'disconnect' as const,
);

/** Small changes first of all, and often a look: a change that comes alone hides behind no other. */
export const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: manifest.map((one): Command => ({ do: 'set', manifest: one })) },
  {
    weight: 16,
    arbitrary: fc
      .tuple(manifest, index)
      .map(([one, at]): Command => ({ do: 'alter', manifest: one, index: at })),
  },
  {
    weight: 12,
    arbitrary: fc.tuple(index, fc.nat(60)).map(([at, place]): Command => ({ do: 'trim', index: at, place })),
  },
  { weight: 5, arbitrary: index.map((at): Command => ({ do: 'delete', index: at })) },
  { weight: 6, arbitrary: fc.tuple(pick, index).map(([what, at]): Command => ({ do: what, index: at })) },
  { weight: 3, arbitrary: localReplica.map((replica): Command => ({ do: 'run', replica })) },
  { weight: 7, arbitrary: meshConfigPart.map((part): Command => ({ do: 'configure', part })) },
  { weight: 2, arbitrary: secretAccess.map(([key, answer]): Command => ({ do: 'review', key, answer })) },
  {
    weight: 1,
    arbitrary: trustAnchors.map(([source, anchors]): Command => ({ do: 'vouch', source, anchors })),
  },
  { weight: 2, arbitrary: meshNetworks.map((networks): Command => ({ do: 'network', networks })) },
  {
    weight: 2,
    arbitrary: resolvedName.map(([name, resolved]): Command => ({ do: 'resolve', name, resolved })),
  },
  { weight: 2, arbitrary: keySetOutcome.map(([key, state]): Command => ({ do: 'fetch', key, state })) },
  { weight: 5, arbitrary: proxy.map((facts): Command => ({ do: 'connect', proxy: facts })) },
  { weight: 3, arbitrary: fc.constant<Command>({ do: 'settle' }) },
  { weight: 6, arbitrary: fc.nat(60).map((items): Command => ({ do: 'step', items })) },
  { weight: 24, arbitrary: fc.boolean().map((reversed): Command => ({ do: 'check', reversed })) },
);

/** A mesh with a past: much at once and most proxies there, then one event after the other. */
export const history: fc.Arbitrary<readonly Command[]> = fc
  .tuple(
    fc.array(manifest, { maxLength: 60, size: 'max' }),
    fc.shuffledSubarray([...PROXIES], { minLength: 1 }),
    fc.array(localReplica, { maxLength: 2 }),
    fc.array(anyCommand, { maxLength: 50, size: 'max' }),
  )
  .map(([manifests, proxies, replicas, events]) => [
    ...manifests.map((one): Command => ({ do: 'set', manifest: one })),
    ...proxies.map((facts): Command => ({ do: 'connect', proxy: facts })),
    ...replicas.map((replica): Command => ({ do: 'run', replica })),
    { do: 'settle' },
    ...events,
    { do: 'check', reversed: events.length % 2 === 1 },
  ]);

/** A mesh that lives through a history, and beside it, in plain maps, what it was fed with. */
export class LivingMesh {
  readonly fixture: MeshFixture;
  readonly objects = new Map<string, MeshObject>();
  /** The objects as they were written. */
  readonly manifests = new Map<string, Manifest>();
  readonly heldBack = new Map<string, HeldBack>();
  readonly replicas = new Map<string, LocalReplica>();
  readonly keySets = new Map<string, KeySetState>();
  readonly secretAccess = new Map<string, SecretAccess>([[EVERYBODY, { isAllowed: true }]]);
  readonly trustAnchors = new Map<string, TrustAnchors>();
  readonly proxies = new Map<string, ProxyFacts>();
  config: MeshConfigJson = readMeshConfig({});
  networks: MeshNetworks = NO_NETWORKS;
  readonly names = new Map<string, ResolvedName>();
  readonly #check: (living: MeshFixture, fresh: MeshFixture) => void;
  readonly #flags: MeshFlags;

  /** `check` compares the mesh with a fresh one, where a history asks for it. */
  constructor(
    check: (living: MeshFixture, fresh: MeshFixture) => void = () => {},
    flags: MeshFlags = DEFAULT_MESH_FLAGS,
  ) {
    this.#check = check;
    this.#flags = flags;
    this.fixture = meshFixture({ flags });
  }

  run(command: Command): void {
    switch (command.do) {
      case 'set':
        return this.#set(command.manifest);
      case 'alter':
        return this.#alter(command.manifest, command.index);
      case 'run':
        return this.#run(command.replica);
      case 'configure':
        this.config = readMeshConfig(command.part);
        return this.fixture.configure(command.part);
      case 'network':
        this.networks = command.networks;
        return this.fixture.mesh.meshNetworks.set(MESH_KEY, command.networks);
      case 'resolve':
        this.names.set(command.name, command.resolved);
        return this.fixture.mesh.resolvedNames.set(command.name, command.resolved);
      case 'fetch':
        this.keySets.set(command.key, command.state);
        return this.fixture.mesh.keySets.set(command.key, command.state);
      case 'review':
        return this.#review(command.key, command.answer);
      case 'vouch':
        return this.#vouch(command.source, command.anchors);
      case 'connect':
        return this.#connect(command.proxy);
      case 'trim':
        return this.#trim(command.index, command.place);
      case 'settle':
        return this.fixture.settle();
      case 'step':
        return void this.fixture.step(command.items);
      case 'check':
        this.fixture.settle();
        return this.#check(this.fixture, this.#startAfresh(command.reversed));
      default:
        return this.#pick(command.do, command.index);
    }
  }

  /** A mesh that never knew anything but the outcome. `reversed`: fed in the opposite order. */
  #startAfresh(reversed: boolean): MeshFixture {
    const fresh = meshFixture({ flags: this.#flags });
    this.feed(fresh, reversed);
    fresh.settle();
    return fresh;
  }

  /** Queues the outcome in a mesh. */
  feed(to: MeshFixture, reversed = false): void {
    const { heldBack, replicas, meshConfig, meshNetworks, keySets, secretAccess: access } = to.mesh;
    if (!this.secretAccess.has(EVERYBODY)) access.delete(EVERYBODY);
    const steps = [
      ...Array.from(this.objects.values(), (object) => () => to.set(object)),
      ...Array.from(
        this.heldBack,
        ([key, verdict]) =>
          () =>
            heldBack.set(key, verdict),
      ),
      ...Array.from(
        this.replicas,
        ([key, replica]) =>
          () =>
            replicas.set(key, replica),
      ),
      ...Array.from(
        this.keySets,
        ([key, state]) =>
          () =>
            keySets.set(key, state),
      ),
      ...Array.from(
        this.secretAccess,
        ([key, answer]) =>
          () =>
            access.set(key, answer),
      ),
      ...Array.from(
        this.trustAnchors,
        ([source, anchors]) =>
          () =>
            to.mesh.trustAnchors.set(source, anchors),
      ),
      ...Array.from(this.proxies.values(), (facts) => () => void to.connect(facts)),
      ...Array.from(
        this.names,
        ([name, resolved]) =>
          () =>
            to.mesh.resolvedNames.set(name, resolved),
      ),
      () => meshConfig.set(MESH_KEY, this.config),
      () => meshNetworks.set(MESH_KEY, this.networks),
    ];
    for (const step of reversed ? steps.reverse() : steps) step();
  }

  #set(manifest: Manifest): void {
    for (const object of decodeAll(manifest)) {
      this.objects.set(objectKey(object), object);
      this.manifests.set(objectKey(object), manifest);
      this.fixture.set(object);
    }
  }

  #alter(source: Manifest, index: number): void {
    const same = [...this.manifests.values()].filter(({ kind }) => kind === source.kind);
    const target = same[index % Math.max(same.length, 1)];
    if (target === undefined) return;
    this.#setIfValid(withOneField(target, source, index));
  }

  #trim(index: number, place: number): void {
    const target = [...this.manifests.values()][index % Math.max(this.manifests.size, 1)];
    if (target !== undefined) this.#setIfValid(trimmed(target, place));
  }

  /** Fields that fit each other may not fit what is left, or what they are mixed with. */
  #setIfValid(manifest: Manifest): void {
    if (decodeObject(manifest, { defaultNamespace: 'default' }).object !== undefined) this.#set(manifest);
  }

  #run(replica: LocalReplica): void {
    const key = `${replica.namespace}/${replica.workload}-${replica.replica}`;
    this.replicas.set(key, replica);
    this.fixture.mesh.replicas.set(key, replica);
  }

  #review(key: string, answer: SecretAccess | undefined): void {
    const { secretAccess: access } = this.fixture.mesh;
    if (answer === undefined) {
      this.secretAccess.delete(key);
      access.delete(key);
    } else {
      this.secretAccess.set(key, answer);
      access.set(key, answer);
    }
  }

  #vouch(source: string, anchors: TrustAnchors | undefined): void {
    if (anchors === undefined) {
      this.trustAnchors.delete(source);
      this.fixture.mesh.trustAnchors.delete(source);
    } else {
      this.trustAnchors.set(source, anchors);
      this.fixture.mesh.trustAnchors.set(source, anchors);
    }
  }

  #connect(facts: ProxyFacts): void {
    this.proxies.set(proxyOf(facts).id, facts);
    this.fixture.connect(facts);
  }

  #delete(index: number): void {
    take(this.objects, index, (key, object) => {
      this.manifests.delete(key);
      this.fixture.remove(object);
    });
  }

  #pick(what: Picking, index: number): void {
    const { heldBack, replicas, proxies } = this.fixture.mesh;
    if (what === 'lift') take(this.heldBack, index, (key) => heldBack.delete(key));
    else if (what === 'stop') take(this.replicas, index, (key) => replicas.delete(key));
    else if (what === 'disconnect') take(this.proxies, index, (key) => proxies.delete(key));
    else if (what === 'delete') this.#delete(index);
    else this.#hold(what, index);
  }

  /** Refuses an object; its last good form is that of another of its kind under its own name. */
  #hold(what: 'hold' | 'holdLastGood', index: number): void {
    const object = [...this.objects.values()][index % Math.max(this.objects.size, 1)];
    if (object === undefined) return;
    const other = [...this.objects.values()].find(
      (one) => one.kind === object.kind && one.hash !== object.hash,
    );
    const { kind, namespace, name } = object;
    const verdict: HeldBack = {
      kind,
      namespace,
      name,
      refusedHash: object.hash,
      envoyVersion: '1.40.0',
      reason: 'refused',
      since: '2024-01-01T00:00:00Z',
      lastGood: what === 'hold' || other === undefined ? undefined : { ...other, namespace, name },
    };
    this.heldBack.set(objectKey(object), verdict);
    this.fixture.mesh.heldBack.set(objectKey(object), verdict);
  }
}

function take<V>(map: Map<string, V>, index: number, remove: (key: string, value: V) => void): void {
  const entry = [...map][index % Math.max(map.size, 1)];
  if (entry === undefined) return;
  map.delete(entry[0]);
  remove(...entry);
}
