/**
 * What the control planes of a cluster share about their self-signed root, as the entries of a Secret: Istio's keys for the newest
 * pair, and ours for a replacement that is under way (the pair that still signs, and when it stops) and for roots that
 * sign no more. Istio's own control plane reads and writes the same Secret.
 * Source: istio security/pkg/pki/ca/ca.go BuildSecret, loadSelfSignedCaSecret.
 */
import { fail, ok, type Result } from '#base/result.ts';
import type { Secret } from '#base/secret.ts';
import { type AuthorityMaterial, makeAuthorityMaterial } from './authority-material.ts';
import type { RetiredRoot } from './authority-rotation.ts';
import { readRetiredList } from './retired-roots.ts';

/** A root and its key, as PEM. */
export interface RootPair {
  readonly certificatePem: string;
  readonly privateKey: Secret;
}

/** A pair that was checked. */
export interface UsableRoot {
  readonly pair: RootPair;
  readonly material: AuthorityMaterial;
}

export interface SharedRootRecord {
  readonly newest: UsableRoot;
  /** What signs until `signsAtUnixMs`; undefined when the newest signs. */
  readonly previous: UsableRoot | undefined;
  /** Undefined when the record has nothing of ours: somebody else wrote it. */
  readonly signsAtUnixMs: number | undefined;
  /** Those whose time is not over. */
  readonly retired: readonly RetiredRoot[];
}

/** A record to be written. */
export interface SharedRootDraft {
  readonly newest: RootPair;
  readonly previous?: RootPair;
  readonly signsAtUnixMs: number;
  readonly retired: readonly RetiredRoot[];
}

const CERTIFICATE = 'ca-cert.pem';
const KEY = 'ca-key.pem';
const PREVIOUS_CERTIFICATE = 'previous-ca-cert.pem';
const PREVIOUS_KEY = 'previous-ca-key.pem';
const ROTATION = 'rotation.json';

/** Errors: a text for an operator, which never quotes keys. */
export function readSharedRoot(
  data: ReadonlyMap<string, Secret>,
  nowUnixMs: number,
): Result<SharedRootRecord, string> {
  const newest = readPair(data, CERTIFICATE, KEY, nowUnixMs);
  if (!newest.ok) return newest;
  const previous = readPair(data, PREVIOUS_CERTIFICATE, PREVIOUS_KEY, nowUnixMs);
  const rotation = readRotation(data.get(ROTATION)?.reveal() ?? '', nowUnixMs);
  return ok({ newest: newest.value, previous: previous.ok ? previous.value : undefined, ...rotation });
}

/** What signs now, by the record. */
export function signingRoot(
  { newest, previous, signsAtUnixMs = 0 }: SharedRootRecord,
  nowUnixMs: number,
): UsableRoot {
  return previous !== undefined && nowUnixMs < signsAtUnixMs ? previous : newest;
}

/** The entries of the Secret; all that Istio's have are there. */
export function printSharedRoot(draft: SharedRootDraft): ReadonlyMap<string, string> {
  const { newest, previous, signsAtUnixMs, retired } = draft;
  return new Map([
    [CERTIFICATE, newest.certificatePem],
    [KEY, newest.privateKey.reveal()],
    ['root-cert.pem', newest.certificatePem],
    ['cert-chain.pem', ''],
    ['key.pem', ''],
    ...(previous === undefined
      ? []
      : ([
          [PREVIOUS_CERTIFICATE, previous.certificatePem],
          [PREVIOUS_KEY, previous.privateKey.reveal()],
        ] as const)),
    [ROTATION, `${JSON.stringify({ signsAtUnixMs, retired })}\n`],
  ]);
}

function readPair(
  data: ReadonlyMap<string, Secret>,
  certificateKey: string,
  keyKey: string,
  nowUnixMs: number,
): Result<UsableRoot, string> {
  const certificatePem = data.get(certificateKey)?.reveal() ?? '';
  const privateKey = data.get(keyKey);
  if (certificatePem === '' || privateKey === undefined) {
    return fail(`${certificateKey} or ${keyKey} is missing`);
  }
  const texts = { certificatePem, privateKey, chainPem: '', rootsPem: certificatePem };
  const material = makeAuthorityMaterial(texts, nowUnixMs);
  return material.ok ? ok({ pair: { certificatePem, privateKey }, material: material.value }) : material;
}

function readRotation(text: string, nowUnixMs: number): Pick<SharedRootRecord, 'signsAtUnixMs' | 'retired'> {
  try {
    const value = JSON.parse(text) as { readonly signsAtUnixMs?: unknown; readonly retired?: unknown };
    const { signsAtUnixMs } = value;
    return {
      signsAtUnixMs: typeof signsAtUnixMs === 'number' ? signsAtUnixMs : undefined,
      retired: readRetiredList(value.retired, nowUnixMs),
    };
  } catch {
    return { signsAtUnixMs: undefined, retired: [] };
  }
}
