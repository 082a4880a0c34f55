/**
 * Verdicts on disk, so that a restarted control plane serves what it served before: one JSON file for its owner only,
 * replaced whole or not at all. A file that can't be read is said and left out; the verdicts are then found again.
 */
import { join } from 'node:path';
import type { MeshObject } from '#api/mesh-object.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { preparePrivateFolder, readPrivateFile, writePrivateFile } from '#ca/private-folder.ts';
import type { HeldBack } from '#model/held-back.ts';

const FILE = 'held-back.json';
const FORMAT = 1;

export class VerdictStore {
  readonly #folder: string;
  #last: Promise<unknown> = Promise.resolve();

  /** `folder` is made for the first verdict; it must be its owner's alone. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What was saved last; none when there is no file. Errors: why the file can't be used. */
  async load(): Promise<Result<readonly HeldBack[], string>> {
    const path = join(this.#folder, FILE);
    try {
      const text = await readPrivateFile(path);
      if (text === undefined) return ok([]);
      return text.ok ? parse(text.value.reveal(), path) : text;
    } catch (error) {
      return fail(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Saves after whatever is being saved. Errors: rejects with why it can't be. */
  save(verdicts: readonly HeldBack[]): Promise<void> {
    const content = `${JSON.stringify({ format: FORMAT, heldBack: verdicts }, undefined, 1)}\n`;
    const saved = this.#last.then(() => this.#write(content));
    this.#last = saved.catch(() => undefined);
    return saved;
  }

  /** Resolves when what was given to save is saved or has failed. */
  async idle(): Promise<void> {
    await this.#last;
  }

  async #write(content: string): Promise<void> {
    const refusal = await preparePrivateFolder(this.#folder);
    if (refusal !== undefined) throw new Error(refusal);
    await writePrivateFile(this.#folder, FILE, content);
  }
}

/** The verdict as it will be after a restart: what JSON does not carry is not served now either. */
export function asStored(verdict: HeldBack): HeldBack {
  const { lastGood, ...rest } = JSON.parse(JSON.stringify(verdict)) as HeldBack;
  return { ...rest, lastGood };
}

/** Errors: throws for what is no JSON. */
function parse(text: string, path: string): Result<readonly HeldBack[], string> {
  const { format, heldBack } = JSON.parse(text) as { readonly format?: unknown; readonly heldBack?: unknown };
  if (format !== FORMAT || !Array.isArray(heldBack) || !heldBack.every(isVerdict))
    return fail(`${path} is not a file of held-back objects`);
  return ok(heldBack.map(asStored));
}

const TEXTS = ['kind', 'namespace', 'name', 'refusedHash', 'envoyVersion', 'reason', 'since'] as const;

function isVerdict(value: unknown): value is HeldBack {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  const { lastGood } = fields;
  return (
    TEXTS.every((field) => typeof fields[field] === 'string') &&
    (lastGood === undefined || isObject(lastGood))
  );
}

function isObject(value: unknown): value is MeshObject {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, hash, spec, labels, annotations } = value as Readonly<Record<string, unknown>>;
  const isRecord = [spec, labels, annotations].every((field) => typeof field === 'object' && field !== null);
  return typeof kind === 'string' && typeof hash === 'string' && isRecord;
}
