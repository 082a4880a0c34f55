/** The certificates that a control plane answers for, and when they end: its authority's, the roots that are believed, and those in Secrets. */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SecretSpec } from '#api/secret.ts';
import type { AuthorityRotation } from '#ca/authority-rotation.ts';
import type { CertificateState, CertificateStatus } from '#doors/control-protocol.ts';
import { type Certificate, parseCertificates } from '#identity/certificate.ts';
import type { CertificateReport } from '#standalone/control-plane.ts';

const MAX_ROOTS = 100;
/** Keys under which a Secret holds the certificate that is served. */
const SERVED_KEYS = ['tls.crt', 'cert'];

/** All of them; `secrets` are the objects of that kind. */
export function certificateReport(
  rotation: AuthorityRotation,
  secrets: Iterable<MeshObject<SecretSpec>>,
): CertificateReport {
  const { authority, retired, isPending } = rotation;
  const [signing] = read(authority.rootPem);
  const going = new Map(
    retired.flatMap(({ pem, untilUnixMs }) =>
      read(pem).map(({ fingerprint }) => [fingerprint, untilUnixMs] as const),
    ),
  );
  const stateOf = ({ fingerprint }: Certificate): CertificateState => {
    if (fingerprint === signing?.fingerprint) return 'signing';
    if (going.has(fingerprint)) return 'retired';
    return isPending ? 'introduced' : 'trusted';
  };
  const roots = read(rotation.rootsPem).map((root): CertificateStatus => {
    const untilUnixMs = going.get(root.fingerprint);
    return {
      ...describe('root', root.subject, root, stateOf(root)),
      ...(untilUnixMs === undefined ? {} : { trustedUntil: new Date(untilUnixMs).toISOString() }),
    };
  });
  const intermediates = read(authority.intermediatePems.join('\n')).map((one) =>
    describe('intermediate', one.subject, one, 'signing'),
  );
  const isRetiring = roots.some(({ state }) => state === 'retired');
  return {
    rotation: isPending ? 'introducing' : isRetiring ? 'retiring' : 'none',
    certificates: [...roots, ...intermediates, ...[...secrets].flatMap(ofSecret)],
  };
}

function ofSecret({ namespace, name, spec }: MeshObject<SecretSpec>): CertificateStatus[] {
  const key = SERVED_KEYS.find((one) => (spec.data[one] ?? '') !== '');
  const [leaf] = key === undefined ? [] : read(Buffer.from(spec.data[key] ?? '', 'base64').toString());
  return leaf === undefined ? [] : [describe('secret', `${namespace}/${name}`, leaf, 'served')];
}

/** The certificates of a text; none when it holds something else, which others tell. */
function read(pem: string): readonly Certificate[] {
  const parsed = parseCertificates(pem, MAX_ROOTS);
  return parsed.ok ? parsed.value : [];
}

function describe(
  kind: CertificateStatus['kind'],
  name: string,
  { fingerprint, notBeforeUnixMs, notAfterUnixMs }: Certificate,
  state: CertificateState,
): CertificateStatus {
  return {
    kind,
    name,
    state,
    fingerprint,
    notBefore: new Date(notBeforeUnixMs).toISOString(),
    notAfter: new Date(notAfterUnixMs).toISOString(),
  };
}
