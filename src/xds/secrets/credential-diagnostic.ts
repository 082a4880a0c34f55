/** What to tell the owner of a Gateway or DestinationRule whose credential leads nowhere. Texts never hold values. */
import type { Diagnostic } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import type { CredentialProblem } from './credentials.ts';
import { parseCredentialName } from './credential-name.ts';
import type { SecretUse, SecretWish } from './proxy-secrets.ts';

/** The finding about one use of a name. */
export function credentialDiagnostic(
  { name, cause }: SecretUse,
  problem: CredentialProblem,
  { namespace, serviceAccount }: SecretWish,
): Diagnostic {
  const { path, ...resource } = cause;
  const place = { resource, path };
  const parsed = parseCredentialName(name, namespace);
  const refval = parsed === undefined ? name : `${parsed.namespace}/${parsed.name}`;
  switch (problem) {
    case 'incomplete': {
      const wanted = parsed?.isCaOnly === true ? 'CA certificate' : 'certificate with its key';
      const keys = parsed?.isCaOnly === true ? 'ca.crt or cacert' : 'tls.crt and tls.key, or cert and key';
      return makeDiagnostic('LTN5020', place, { refval, wanted, keys });
    }
    case 'denied':
      return makeDiagnostic('LTN5021', place, { refval, namespace, serviceAccount });
    default: {
      const found = makeDiagnostic('IST0101', place, { reftype: 'credentialName', refval, suggestion: '' });
      // The Secret may come later.
      return { ...found, severity: 'warning' };
    }
  }
}
