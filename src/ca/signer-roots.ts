/**
 * The roots of signers elsewhere: the one of a mounted file, which is every signer's, else those that mesh config gives for a signer
 * (caCertificates with certSigners), else the root that the signer itself sends along. Whoever hands roots out is told of changes.
 * Source: Istio security/pkg/pki/ra/k8s_ra.go SignWithCertChain, GetRootCertFromMeshConfig.
 */
import { toDisposable } from '#base/disposable.ts';
import { type Certificate, isValidAt, parseCertificates } from '#identity/certificate.ts';

/** Certificates for some signers, as mesh config has them. */
export interface SignerCertificates {
  readonly pem: string;
  /** Full names. */
  readonly signers: readonly string[];
}

const MAX_ROOTS = 100;

/** Holds them. */
export class SignerRoots {
  readonly #watchers = new Set<() => void>();
  #file: readonly Certificate[] = [];
  #bySigner: readonly { readonly roots: readonly Certificate[]; readonly signers: readonly string[] }[] = [];

  /** All that are known, to be believed wherever certificates of signers are met. */
  get all(): readonly string[] {
    const known = [...this.#file, ...this.#bySigner.flatMap(({ roots }) => roots)];
    return [...new Set(known.map(({ pem }) => pem))];
  }

  /** Roots of one signer, none that is not valid now. */
  rootsOf(signerName: string, sent: readonly Certificate[], nowMs: number): readonly Certificate[] {
    const ofSigner = this.#bySigner.find(({ signers }) => signers.includes(signerName))?.roots ?? [];
    const known = this.#file.length > 0 ? this.#file : ofSigner.length > 0 ? ofSigner : sent;
    return known.filter((root) => isValidAt(root, nowMs));
  }

  /** Takes the text of the mounted file, '' when there is none. False, and no change, for what cannot be read. */
  setFile(pem: string): boolean {
    const parsed = pem.trim() === '' ? undefined : parseCertificates(pem, MAX_ROOTS);
    if (parsed?.ok === false) return false;
    this.#file = parsed?.value ?? [];
    this.#tell();
    return true;
  }

  /** Takes what mesh config has; gives those entries that cannot be read, which are left out. */
  setSigners(entries: readonly SignerCertificates[]): readonly SignerCertificates[] {
    const read = entries.map((entry) => ({ entry, parsed: parseCertificates(entry.pem, MAX_ROOTS) }));
    this.#bySigner = read.flatMap(({ entry, parsed }) =>
      parsed.ok ? [{ roots: parsed.value, signers: entry.signers }] : [],
    );
    this.#tell();
    return read.filter(({ parsed }) => !parsed.ok).map(({ entry }) => entry);
  }

  /** Calls back after every change. */
  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  #tell(): void {
    for (const changed of this.#watchers) changed();
  }
}
