import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateStatus } from '#doors/control-protocol.ts';
import { certificateAlerts } from './certificate-alerts.ts';

const DAY_MS = 86_400_000;
const YEAR = 365;

/** A certificate that began and ends so many days from now. */
function certificate(
  fromDays: number,
  toDays: number,
  more: Partial<CertificateStatus> = {},
): CertificateStatus {
  return {
    kind: 'root',
    name: 'O=cluster.local',
    state: 'signing',
    fingerprint: '0123456789abcdef',
    notBefore: new Date(fromDays * DAY_MS).toISOString(),
    notAfter: new Date(toDays * DAY_MS).toISOString(),
    ...more,
  };
}

const ROOT = 'the root O=cluster.local (01234567)';
const CASES: readonly (readonly [string, CertificateStatus, readonly string[]])[] = [
  ['a young root', certificate(-1, 10 * YEAR), []],
  ['a root before the last fifth of its life', certificate(-8 * YEAR + 1, 2 * YEAR + 1), []],
  [
    'a root in the last fifth of its life',
    certificate(-8 * YEAR - 1, 2 * YEAR - 1),
    [`${ROOT} is in the last fifth of its life; it ends in 729 days, at 1971-12-31T00:00:00.000Z`],
  ],
  ['a root that ends soon', certificate(-YEAR, 29), [`${ROOT} ends in 29 days, at 1970-01-30T00:00:00.000Z`]],
  ['a root that has ended', certificate(-YEAR, -1), [`${ROOT} has expired at 1969-12-31T00:00:00.000Z`]],
  [
    'a root on its way in',
    certificate(0, YEAR, { state: 'introduced' }),
    [`${ROOT} is being handed out; it signs when every proxy can have it`],
  ],
  [
    'a root on its way out',
    certificate(-YEAR, 3, { state: 'retired', trustedUntil: '1970-01-02T00:00:00.000Z' }),
    [`${ROOT} signs no more; it stays believed until 1970-01-02T00:00:00.000Z`],
  ],
  ['an intermediate with time', certificate(-YEAR, 31, { kind: 'intermediate' }), []],
  [
    'an intermediate that ends soon',
    certificate(-YEAR, 0.5, { kind: 'intermediate', name: 'CN=a\nO=b' }),
    ['the intermediate CN=a, O=b (01234567) ends in 12 hours, at 1970-01-01T12:00:00.000Z'],
  ],
  [
    'a Secret that ends soon',
    certificate(-YEAR, 2, { kind: 'secret', name: 'shop/web', state: 'served' }),
    ['the certificate of Secret shop/web ends in 2 days, at 1970-01-03T00:00:00.000Z'],
  ],
];
for (const [what, one, expected] of CASES) {
  test(`${what} gives ${expected.length === 0 ? 'no alert' : 'an alert'}`, () => {
    deepStrictEqual(certificateAlerts({ rotation: 'none', certificates: [one] }, [], 0), expected);
  });
}

test("a workload's certificate is told of only when its renewal is overdue", () => {
  const alerts = (leftHours: number): readonly string[] => {
    const end = { subject: 'shop/web-0', notAfterUnixMs: leftHours * 3_600_000, longestLeftMs: DAY_MS };
    return certificateAlerts({ rotation: 'none', certificates: [] }, [end], 0);
  };
  deepStrictEqual(alerts(7), []);
  deepStrictEqual(alerts(5), [
    'the certificate of shop/web-0 was not renewed in time; it ends in 5 hours, at 1970-01-01T05:00:00.000Z',
  ]);
  deepStrictEqual(alerts(-1), ['the certificate of shop/web-0 has expired at 1969-12-31T23:00:00.000Z']);
});
