/**
 * Keeps the mesh's self-signed root on disk, so that it survives restarts: certificate and key, 0600 in a 0700 folder, written
 * atomically. The key is written first and the certificate last, so a crash between the two leaves no half root: a key
 * without a certificate is thrown away. A successor lies beside the root under names of its own until it signs.
 * A folder that others may read is refused, not mended.
 */
import { lstat, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Secret } from '#base/secret.ts';
import { type AuthorityMaterial, makeAuthorityMaterial } from './authority-material.ts';
import type { RetiredRoot, RotationStore } from './authority-rotation.ts';
import { preparePrivateFolder, readPrivateFile, writePrivateFile } from './private-folder.ts';
import { readRetiredRoots, writeRetiredRoots } from './retired-roots.ts';
import { makeRoot } from './root-certificate.ts';

/** Why there is no root to work with; the text tells an operator what to look at. */
export type RootStoreError = string;

/** The root of a folder, and what a restart found of a replacement that was under way. */
export interface StoredRoot {
  readonly first: AuthorityMaterial;
  readonly pending: AuthorityMaterial | undefined;
  readonly retired: readonly RetiredRoot[];
  readonly store: SelfSignedStore;
}

/** Names of a pair in the folder. Source of the first: the keys of Istio's Secret istio-ca-secret. */
interface PairNames {
  readonly certificate: string;
  readonly key: string;
}

const CURRENT: PairNames = { certificate: 'ca-cert.pem', key: 'ca-key.pem' };
const NEXT: PairNames = { certificate: 'next-cert.pem', key: 'next-key.pem' };

/** Opens the root of a folder, making folder and root when they are not there yet. */
export async function openRootStore(
  folder: string,
  trustDomain: string,
  clock: Clock,
): Promise<Result<StoredRoot, RootStoreError>> {
  const refusal = await preparePrivateFolder(folder);
  if (refusal !== undefined) return fail(refusal);
  const nowMs = clock.nowMs();
  const store = new SelfSignedStore(folder, trustDomain, clock);
  const retired = await readRetiredRoots(folder, nowMs);
  const next = await readPair(folder, NEXT, nowMs);
  const pending = next?.ok === true ? next.value : undefined;
  const current = await readPair(folder, CURRENT, nowMs);
  if (current?.ok === true) return ok({ first: current.value, pending, retired, store });
  // Ended between the two renames, or the root was taken away to force another.
  if (pending !== undefined) {
    await store.settle(pending, retired);
    return ok({ first: pending, pending: undefined, retired, store });
  }
  if (current !== undefined) return fail(`${folder}: ${current.error}`);
  const first = await store.makePair(CURRENT);
  return first.ok ? ok({ first: first.value, pending, retired, store }) : first;
}

/** The folder as the place where a rotation keeps its state. */
export class SelfSignedStore implements RotationStore {
  readonly #folder: string;
  readonly #trustDomain: string;
  readonly #clock: Clock;

  constructor(folder: string, trustDomain: string, clock: Clock) {
    this.#folder = folder;
    this.#trustDomain = trustDomain;
    this.#clock = clock;
  }

  /** Makes the root that is to follow, on disk before anybody hears of it. */
  makeSuccessor(): Promise<Result<AuthorityMaterial, RootStoreError>> {
    return this.makePair(NEXT);
  }

  /** True when somebody took the root away: the sign that another is wanted. */
  async isTakenAway(): Promise<boolean> {
    return (await lstat(join(this.#folder, CURRENT.certificate)).catch(() => undefined)) === undefined;
  }

  introduce(_material: AuthorityMaterial, retired: readonly RetiredRoot[]): Promise<void> {
    return writeRetiredRoots(this.#folder, retired);
  }

  async settle(material: AuthorityMaterial, retired: readonly RetiredRoot[]): Promise<void> {
    await writeRetiredRoots(this.#folder, retired);
    const next = await readPrivateFile(join(this.#folder, NEXT.certificate));
    if (next?.ok !== true || next.value.reveal().trim() !== material.authority.rootPem.trim()) return;
    await rename(join(this.#folder, NEXT.key), join(this.#folder, CURRENT.key));
    await rename(join(this.#folder, NEXT.certificate), join(this.#folder, CURRENT.certificate));
  }

  async makePair(names: PairNames): Promise<Result<AuthorityMaterial, RootStoreError>> {
    const nowMs = this.#clock.nowMs();
    const root = await makeRoot(this.#trustDomain, nowMs);
    await writePrivateFile(this.#folder, names.key, root.privateKey.reveal());
    await writePrivateFile(this.#folder, names.certificate, root.certificatePem);
    return materialOf(root.certificatePem, root.privateKey, nowMs);
  }
}

/** Undefined when there is none. */
async function readPair(
  folder: string,
  names: PairNames,
  nowUnixMs: number,
): Promise<Result<AuthorityMaterial, RootStoreError> | undefined> {
  const certificate = await readPrivateFile(join(folder, names.certificate));
  if (certificate === undefined) return undefined;
  if (!certificate.ok) return certificate;
  const key = await readPrivateFile(join(folder, names.key));
  if (key === undefined) return fail(`${join(folder, names.key)} is missing, ${names.certificate} is there`);
  return key.ok ? materialOf(certificate.value.reveal(), key.value, nowUnixMs) : key;
}

function materialOf(pem: string, privateKey: Secret, nowUnixMs: number): Result<AuthorityMaterial, string> {
  return makeAuthorityMaterial({ certificatePem: pem, privateKey, chainPem: '', rootsPem: pem }, nowUnixMs);
}
