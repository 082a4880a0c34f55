/**
 * What the agent is told about the certificate that an authority signs: which key to make, and when to renew. Istio's variables and
 * defaults, but for the kind of key. Pure.
 * Source: istio pilot/cmd/pilot-agent/options.
 */
import type { RenewalRatio } from '#identity/expiry.ts';
import type { KeyKind } from '#identity/key-pair.ts';

/** Where options come from. */
export interface CertificateOptionSources {
  text(name: string): string | undefined;
  /** Notes a variable that could not be used. */
  problem(name: string): void;
}

/** The options. */
export interface CertificateOptions {
  readonly keyKind: KeyKind;
  readonly renewal: RenewalRatio | undefined;
}

/** Reads them. */
export function readCertificateOptions(sources: CertificateOptionSources): CertificateOptions {
  return { keyKind: keyKind(sources), renewal: renewal(sources) };
}

/** An RSA key only where somebody asks for one: it takes a hundred times as long to make. */
function keyKind(sources: CertificateOptionSources): KeyKind {
  const size = sources.text('WORKLOAD_RSA_KEY_SIZE');
  const isElliptic = size === undefined || sources.text('ECC_SIGNATURE_ALGORITHM') === 'ECDSA';
  if (isElliptic) return sources.text('ECC_CURVE') === 'P384' ? 'ecdsa-p384' : 'ecdsa-p256';
  if (size === '3072' || size === '4096') return `rsa-${size}`;
  if (size !== '2048') sources.problem('WORKLOAD_RSA_KEY_SIZE');
  return 'rsa-2048';
}

function renewal(sources: CertificateOptionSources): RenewalRatio | undefined {
  const read = (name: string, fallback: number): number => {
    const value = Number(sources.text(name) ?? fallback);
    if (value >= 0 && value <= 1) return value;
    sources.problem(name);
    return fallback;
  };
  const ratio = 'SECRET_GRACE_PERIOD_RATIO';
  const jitter = 'SECRET_GRACE_PERIOD_RATIO_JITTER';
  if (sources.text(ratio) === undefined && sources.text(jitter) === undefined) return undefined;
  return { ratio: read(ratio, 0.5), jitter: read(jitter, 0.01) };
}
