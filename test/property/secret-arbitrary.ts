/** Random credentials: Secrets and ConfigMaps with and without what is asked for, grants, and who may read keys. */
import fc from 'fast-check';
import { EVERYBODY, type SecretAccess } from '#model/secret-access.ts';
import type { TrustAnchors } from '#model/trust-bundle.ts';
import { all, few, type Manifest, manifests, name, namespace, some } from './mesh-names.ts';

const value = fc.constantFrom('b25l', 'dHdv', '');
const whole = all({ cert: value, key: value, cacert: value }).filter(({ cert, key }) => cert + key !== '');
const secret = all({
  type: fc.constantFrom('Opaque', 'kubernetes.io/tls'),
  data: fc.oneof(
    { weight: 3, arbitrary: whole },
    {
      weight: 1,
      arbitrary: some({ 'tls.crt': value, 'tls.key': value, 'ca.crt': value, cert: value, key: value }),
    },
  ),
});
/** CA certificates of their own, beside a Secret of the name without the ending. */
const ofAuthority = fc.constantFrom({}, { name: 'a-cacert' });
const configMap = all({ data: some({ 'ca.crt': fc.constantFrom('one', 'two') }) });
const grant = fc
  .tuple(namespace, few(fc.constantFrom('Gateway', 'HTTPRoute'), 1), fc.constantFrom({}, { name: 'a' }))
  .map(([from, [kind], which]) => ({
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind, namespace: from }],
      to: [{ group: '', kind: 'Secret', ...which }],
    },
  }));

/** Names of credentials as gateways and rules have them. */
export const credentialName: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: name },
  { weight: 1, arbitrary: name.map((what) => `sds://${what}`) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom('kubernetes', 'kubernetes-gateway'), namespace, name).map((parts) => {
      const [scheme, where, what] = parts;
      return `${scheme}://${where}/${what}`;
    }),
  },
);

/** Objects of one kind each, with how often they are drawn. */
export const SECRET_KINDS: readonly (readonly [number, fc.Arbitrary<Manifest>])[] = [
  [9, manifests('v1', 'Secret', secret, ofAuthority)],
  [1, manifests('v1', 'ConfigMap', configMap)],
  [1, manifests('gateway.networking.k8s.io/v1beta1', 'ReferenceGrant', grant)],
];

/** An answer about a service account, or about everybody; undefined: nobody knows any more. */
export const secretAccess: fc.Arbitrary<readonly [string, SecretAccess | undefined]> = fc.tuple(
  fc.constantFrom(EVERYBODY, 'default/default', 'shop/default', 'istio-system/default'),
  fc.constantFrom({ isAllowed: true }, { isAllowed: false }, undefined),
);

const texts = fc.subarray(['root a', 'root b', 'root c']);

/** Whom a source vouches for; undefined: it vouches for nobody any more. */
export const trustAnchors: fc.Arbitrary<readonly [string, TrustAnchors | undefined]> = fc.tuple(
  fc.constantFrom('authority', 'meshConfig'),
  fc.option(fc.record({ rootPems: texts, peerRootPems: texts, revocationPems: texts }), { nil: undefined }),
);
