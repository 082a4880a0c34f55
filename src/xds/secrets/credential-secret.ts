/**
 * Envoy secrets from what users keep in Kubernetes Secrets and ConfigMaps: a certificate with its key, or CA certificates.
 * Pure. The results hold private keys: whoever shows resources must leave out those of this type.
 * Source: Istio pilot/pkg/credentials/kube/secrets.go, pilot/pkg/xds/sds.go.
 */
import { create } from '@bufbuild/protobuf';
import { type Secret, SecretSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';

/** Values of a Secret, in base64. */
export type SecretData = Readonly<Record<string, string>>;

/** What one Envoy secret is made from; values in base64, '' for none. */
export type CredentialInput =
  | {
      readonly kind: 'certificate';
      readonly name: string;
      readonly chain: string;
      readonly key: string;
      readonly staple: string;
    }
  | { readonly kind: 'roots'; readonly name: string; readonly roots: string; readonly revocations: string };

/** The certificate and key in a Secret, of the generic kind (cert, key) or of kubernetes.io/tls; undefined without them. */
export function certificateOf(name: string, data: SecretData): CredentialInput | undefined {
  const generic = { chain: value(data, 'cert'), key: value(data, 'key'), staple: '' };
  if (generic.chain !== '' && generic.key !== '') return { kind: 'certificate', name, ...generic };
  const ofTls = {
    chain: value(data, 'tls.crt'),
    key: value(data, 'tls.key'),
    staple: value(data, 'tls.ocsp-staple'),
  };
  return ofTls.chain !== '' && ofTls.key !== '' ? { kind: 'certificate', name, ...ofTls } : undefined;
}

/** The CA certificates in a Secret or ConfigMap, with revocations if there are any; undefined without them. */
export function rootsOf(name: string, data: SecretData): CredentialInput | undefined {
  const generic = value(data, 'cacert');
  if (generic !== '') return { kind: 'roots', name, roots: generic, revocations: value(data, 'crl') };
  const ofTls = value(data, 'ca.crt');
  return ofTls === '' ? undefined : { kind: 'roots', name, roots: ofTls, revocations: value(data, 'ca.crl') };
}

/** Builds the message. */
export function buildCredential(input: CredentialInput): Secret {
  if (input.kind === 'certificate') {
    return create(SecretSchema, {
      name: input.name,
      type: {
        case: 'tlsCertificate',
        value: {
          certificateChain: inline(input.chain),
          privateKey: inline(input.key),
          ...(input.staple === '' ? {} : { ocspStaple: inline(input.staple) }),
        },
      },
    });
  }
  return create(SecretSchema, {
    name: input.name,
    type: {
      case: 'validationContext',
      value: {
        trustedCa: inline(input.roots),
        ...(input.revocations === '' ? {} : { crl: inline(input.revocations) }),
      },
    },
  });
}

function value(data: SecretData, key: string): string {
  return Object.hasOwn(data, key) ? (data[key] ?? '') : '';
}

function inline(base64: string): { specifier: { case: 'inlineBytes'; value: Uint8Array } } {
  return { specifier: { case: 'inlineBytes', value: Uint8Array.from(Buffer.from(base64, 'base64')) } };
}
