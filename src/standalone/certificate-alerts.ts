/** What an operator should know of certificates now: what ends soon, and whether the root is being replaced. Pure. */
import type { CertificateStatus } from '#doors/control-protocol.ts';
import type { CertificateReport } from './control-plane.ts';

/** The certificate of one replica, as its agent tells. */
export interface WorkloadCertificateEnd {
  /** `namespace/name-N`. */
  readonly subject: string;
  readonly notAfterUnixMs: number;
  /** The longest time to its end that was seen for this replica. */
  readonly longestLeftMs: number;
}

const DAY_MS = 86_400_000;
const SOON_MS = 30 * DAY_MS;
const LAST_PART = 0.2;
/** Certificates are renewed at half their life: one with less than this part left was not. */
const OVERDUE_PART = 0.25;
const SHOWN_FINGERPRINT = 8;

/** The lines; none when all is well. */
export function certificateAlerts(
  { certificates }: CertificateReport,
  workloads: readonly WorkloadCertificateEnd[],
  nowUnixMs: number,
): readonly string[] {
  const ofAuthority = certificates.flatMap((one) => alertsOf(one, nowUnixMs));
  return [...ofAuthority, ...workloads.flatMap((one) => overdue(one, nowUnixMs))];
}

function alertsOf(certificate: CertificateStatus, nowUnixMs: number): readonly string[] {
  const { state, trustedUntil } = certificate;
  const named = nameOf(certificate);
  if (state === 'introduced') {
    return [`${named} is being handed out; it signs when every proxy can have it`];
  }
  if (state === 'retired') {
    return [`${named} signs no more; it stays believed until ${trustedUntil}`];
  }
  const [fromMs, toMs] = [Date.parse(certificate.notBefore), Date.parse(certificate.notAfter)];
  const leftMs = toMs - nowUnixMs;
  if (leftMs <= 0) return [`${named} has expired at ${certificate.notAfter}`];
  if (leftMs < SOON_MS) return [`${named} ends in ${span(leftMs)}, at ${certificate.notAfter}`];
  const isLastPart = certificate.kind === 'root' && leftMs < (toMs - fromMs) * LAST_PART;
  return isLastPart
    ? [`${named} is in the last fifth of its life; it ends in ${span(leftMs)}, at ${certificate.notAfter}`]
    : [];
}

function nameOf({ kind, name, fingerprint }: CertificateStatus): string {
  if (kind === 'secret') return `the certificate of Secret ${name}`;
  const what = kind === 'root' ? 'root' : 'intermediate';
  return `the ${what} ${name.replaceAll('\n', ', ') || 'certificate'} (${fingerprint.slice(0, SHOWN_FINGERPRINT)})`;
}

function overdue(
  { subject, notAfterUnixMs, longestLeftMs }: WorkloadCertificateEnd,
  nowUnixMs: number,
): readonly string[] {
  const leftMs = notAfterUnixMs - nowUnixMs;
  const at = new Date(notAfterUnixMs).toISOString();
  if (leftMs <= 0) return [`the certificate of ${subject} has expired at ${at}`];
  return leftMs < longestLeftMs * OVERDUE_PART
    ? [`the certificate of ${subject} was not renewed in time; it ends in ${span(leftMs)}, at ${at}`]
    : [];
}

/** `12 days`, `5 hours`, `40 minutes`. */
function span(ms: number): string {
  const units = [
    [DAY_MS, 'days'],
    [3_600_000, 'hours'],
    [60_000, 'minutes'],
  ] as const;
  const [unitMs, name] = units.find(([size]) => ms >= 2 * size) ?? [60_000, 'minutes'];
  return `${Math.floor(ms / unitMs)} ${name}`;
}
