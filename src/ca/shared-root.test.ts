/** Several control planes, one Secret: one root at every time, and no certificate whose root is not believed by all. */
import 'reflect-metadata';
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import { silentLogger } from '#base/logger.ts';
import { Secret } from '#base/secret.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { generateKeyPair } from '#identity/key-pair.ts';
import {
  type CertificateAuthority,
  openSharedAuthority,
  type SharedAuthority,
} from './certificate-authority.ts';
import { makeRoot } from './root-certificate.ts';
import type { FoundSecret, SecretPlace } from './shared-root.ts';
import { defaultSignerOptions } from './signer.ts';

const START_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 3_600_000;
const OVERLAP_MS = 120_000;

/** One Secret in memory, with the versions that an API server keeps. */
class SecretInMemory implements SecretPlace {
  found: FoundSecret | undefined;
  readonly #watchers = new Set<(found: FoundSecret | undefined) => void>();
  #version = 0;

  put(data: ReadonlyMap<string, string>): void {
    const secrets = new Map(Array.from(data, ([key, text]) => [key, new Secret(text)]));
    this.#set({ data: secrets, version: String(++this.#version) });
  }

  delete(): void {
    this.#set(undefined);
  }

  text(key: string): string {
    return this.found?.data.get(key)?.reveal() ?? '';
  }

  async create(data: ReadonlyMap<string, string>): Promise<boolean> {
    if (this.found !== undefined) return false;
    this.put(data);
    return true;
  }

  async replace(found: FoundSecret, data: ReadonlyMap<string, string>): Promise<boolean> {
    if (this.found?.version !== found.version) return false;
    this.put(data);
    return true;
  }

  watch(changed: (found: FoundSecret | undefined) => void): Disposable {
    this.#watchers.add(changed);
    changed(this.found);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  #set(found: FoundSecret | undefined): void {
    this.found = found;
    for (const changed of this.#watchers) changed(found);
  }
}

class Vote {
  isLeader: boolean;
  readonly #watchers = new Set<() => void>();

  constructor(isLeader: boolean) {
    this.isLeader = isLeader;
  }

  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  set(isLeader: boolean): void {
    this.isLeader = isLeader;
    for (const changed of this.#watchers) changed();
  }
}

interface Replica {
  readonly shared: SharedAuthority;
  readonly vote: Vote;
  authority: CertificateAuthority | undefined;
}

class Cluster {
  readonly clock: TestClock = new TestClock(START_MS);
  readonly secret: SecretInMemory = new SecretInMemory();

  start(isLeader: boolean): Replica {
    const vote = new Vote(isLeader);
    const shared = openSharedAuthority(
      {
        trustDomain: 'cluster.local',
        trustDomainAliases: [],
        signer: defaultSignerOptions,
        tokenVerifiers: [],
        clock: this.clock,
        log: silentLogger(),
        overlapMs: OVERLAP_MS,
      },
      { place: this.secret, leadership: vote },
    );
    const replica: Replica = { shared, vote, authority: undefined };
    void shared.opened.then((authority) => {
      replica.authority = authority;
    });
    return replica;
  }

  /** Lets time pass, and everything that follows of it. */
  async pass(ms = 0): Promise<void> {
    await settle();
    this.clock.advance(ms);
    await settle();
  }
}

/** Keys are made in the thread pool: when a few that were asked for later are there, the earlier ones are too. */
async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) {
    await generateKeyPair();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Short names for roots, in the order in which they are first seen. */
class Names {
  readonly #names = new Map<string, string>();

  of(pem: string): string {
    const parsed = parseCertificates(pem, 100);
    const prints = parsed.ok ? parsed.value.map(({ fingerprint }) => fingerprint) : [];
    return prints
      .map((print) => {
        if (!this.#names.has(print)) this.#names.set(print, `r${this.#names.size + 1}`);
        return this.#names.get(print);
      })
      .join('+');
  }
}

/** `signs with/believes` of each replica. */
function states(names: Names, replicas: readonly Replica[]): readonly string[] {
  return replicas.map(({ authority }) => {
    if (authority === undefined) return 'none';
    const { rotation } = authority;
    return `${names.of(rotation.authority.rootPem)}/${names.of(rotation.rootsPem)}`;
  });
}

test('the leader makes the root, the others wait for it, and all have the same one', async () => {
  const cluster = new Cluster();
  const names = new Names();
  const followers = [cluster.start(false), cluster.start(false)];
  await cluster.pass(60_000);
  deepStrictEqual(states(names, followers), ['none', 'none']);
  strictEqual(followers[0]?.shared.root.problem, 'there is no Secret with the root yet: the leader makes it');
  const all = [...followers, cluster.start(true)];
  await cluster.pass();
  deepStrictEqual(states(names, all), ['r1/r1', 'r1/r1', 'r1/r1']);
  strictEqual(names.of(cluster.secret.text('ca-cert.pem')), 'r1');
  const certificate = all[0]?.authority?.rotation.authority.certificate;
  strictEqual(certificate?.subject, 'O=cluster.local');
  strictEqual((certificate.notAfterUnixMs - certificate.notBeforeUnixMs) / DAY_MS, 3650);
  deepStrictEqual(
    [...(cluster.secret.found?.data.keys() ?? [])],
    ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem', 'key.pem', 'rotation.json'],
  );
});

test('deleting the Secret replaces the root with an overlap, at every replica and after a restart in between', async () => {
  const cluster = new Cluster();
  const names = new Names();
  const all = [cluster.start(true), cluster.start(false)];
  await cluster.pass();
  deepStrictEqual(states(names, all), ['r1/r1', 'r1/r1']);
  cluster.secret.delete();
  await cluster.pass();
  deepStrictEqual(states(names, all), ['r1/r1+r2', 'r1/r1+r2']);
  // Whoever looks into the Secret sees the new one at once.
  strictEqual(names.of(cluster.secret.text('ca-cert.pem')), 'r2');
  await cluster.pass(OVERLAP_MS / 2);
  all.push(cluster.start(false));
  await cluster.pass();
  deepStrictEqual(states(names, all), ['r1/r1+r2', 'r1/r1+r2', 'r1/r1+r2']);
  await cluster.pass(OVERLAP_MS / 2);
  await cluster.pass(6_000);
  all.push(cluster.start(false));
  await cluster.pass();
  deepStrictEqual(states(names, all), Array(4).fill('r2/r2+r1'));
  strictEqual(cluster.secret.text('previous-ca-key.pem'), '');
  // The old root is believed for the longest life of what it signed.
  await cluster.pass(89 * DAY_MS);
  deepStrictEqual(states(names, all), Array(4).fill('r2/r2+r1'));
  await cluster.pass(2 * DAY_MS);
  deepStrictEqual(states(names, all), Array(4).fill('r2/r2'));
});

test('a root that somebody else put there is believed before it signs', async () => {
  const cluster = new Cluster();
  const names = new Names();
  const all = [cluster.start(true), cluster.start(false)];
  await cluster.pass();
  states(names, all);
  const other = await makeRoot('cluster.local', START_MS);
  // As Istio's control plane writes it.
  cluster.secret.put(
    new Map([
      ['ca-cert.pem', other.certificatePem],
      ['ca-key.pem', other.privateKey.reveal()],
    ]),
  );
  await cluster.pass();
  deepStrictEqual(states(names, all), ['r1/r1+r2', 'r1/r1+r2']);
  await cluster.pass(OVERLAP_MS);
  await cluster.pass(6_000);
  all.push(cluster.start(false));
  await cluster.pass();
  deepStrictEqual(states(names, all), Array(3).fill('r2/r2+r1'));
});

test('a Secret that cannot be used changes nothing, and is not overwritten', async () => {
  const cluster = new Cluster();
  const names = new Names();
  const all = [cluster.start(true), cluster.start(false)];
  await cluster.pass();
  const good = new Map(Array.from(cluster.secret.found?.data ?? [], ([key, text]) => [key, text.reveal()]));
  cluster.secret.put(new Map([...good, ['ca-key.pem', 'nonsense']]));
  all.push(cluster.start(false));
  await cluster.pass(60_000);
  deepStrictEqual(states(names, all), ['r1/r1', 'r1/r1', 'none']);
  strictEqual(cluster.secret.text('ca-key.pem'), 'nonsense');
  for (const { shared } of all) {
    ok(shared.root.problem.startsWith('the Secret with the root cannot be used: '), shared.root.problem);
    ok(!shared.root.problem.includes('nonsense'));
  }
  cluster.secret.put(good);
  await cluster.pass();
  deepStrictEqual(states(names, all), Array(3).fill('r1/r1'));
});

test('in the last fifth of its life a root is replaced by whoever leads', async () => {
  const cluster = new Cluster();
  const names = new Names();
  const all = [cluster.start(true), cluster.start(false)];
  await cluster.pass();
  states(names, all);
  await cluster.pass(3650 * 0.79 * DAY_MS);
  deepStrictEqual(states(names, all), ['r1/r1', 'r1/r1']);
  all[0]?.vote.set(false);
  all[1]?.vote.set(true);
  await cluster.pass(3650 * 0.02 * DAY_MS);
  await cluster.pass(6_000);
  deepStrictEqual(states(names, all), ['r1/r1+r2', 'r1/r1+r2']);
  await cluster.pass(OVERLAP_MS);
  deepStrictEqual(states(names, all), ['r2/r2+r1', 'r2/r2+r1']);
});

test('two who believe to lead make one root', async () => {
  const cluster = new Cluster();
  const names = new Names();
  const all = [cluster.start(true), cluster.start(true)];
  await cluster.pass();
  deepStrictEqual(states(names, all), ['r1/r1', 'r1/r1']);
  cluster.secret.delete();
  await cluster.pass();
  const believed = new Set(states(names, all));
  deepStrictEqual([...believed], ['r1/r1+r2']);
});
