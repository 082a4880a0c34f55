import { deepStrictEqual, strictEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { readDiscoveryEnvironment } from './discovery-environment.ts';

test('variables are read by their names in Istio', () => {
  const read = readDiscoveryEnvironment({
    CLUSTER_ID: 'east',
    POD_NAMESPACE: 'mesh-system',
    ENABLE_CA_SERVER: 'false',
    ENABLE_DEBUG_ON_HTTP: 'false',
    DEFAULT_WORKLOAD_CERT_TTL: '1h30m',
    PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN: 'false',
  });
  deepStrictEqual(
    [
      read.clusterId,
      read.namespace,
      read.hasCertificateAuthority,
      read.hasDebugPages,
      read.defaultCertificateTtlMs,
      read.flags.absoluteDomains,
      read.warnings,
    ],
    ['east', 'mesh-system', false, false, 5_400_000, false, []],
  );
});

test('variables about certificates and replicas have defaults', () => {
  const pick = (environment: Readonly<Record<string, string>>): readonly unknown[] => {
    const read = readDiscoveryEnvironment(environment);
    return [read.tokenAudiences, read.rootsConfigMap, read.electsLeader, read.podName, read.customHosts];
  };
  deepStrictEqual(
    [
      pick({}),
      pick({
        TOKEN_AUDIENCES: 'a,b',
        PILOT_CA_CERT_CONFIGMAP: 'roots',
        ENABLE_LEADER_ELECTION: 'false',
        POD_NAME: 'istiod-1',
        ISTIOD_CUSTOM_HOST: 'x.example,y.example',
      }),
    ],
    [
      [['istio-ca'], 'istio-ca-root-cert', true, '', []],
      [['a', 'b'], 'roots', false, 'istiod-1', ['x.example', 'y.example']],
    ],
  );
});

test('other issuers: by a rule, and outside of clusters by name', () => {
  const rules = (environment: Readonly<Record<string, string>>): readonly string[] =>
    readDiscoveryEnvironment(environment).tokenRules.map((rule) => `${rule.issuer} ${rule.audiences.join()}`);
  const named = { TOKEN_ISSUER: 'https://t', AUDIENCE: 'b' };
  const rule = { JWT_RULE: '{"issuer":"https://i","audiences":["a"]}' };
  deepStrictEqual(
    [rules({}), rules({ ...rule, ...named }), rules({ ...named, KUBERNETES_SERVICE_HOST: '10.0.0.1' })],
    [[], ['https://i a', 'https://t b'], []],
  );
  throws(() => readDiscoveryEnvironment({ JWT_RULE: '{"issuer":"https://i"}' }), /no audiences/);
});

test('signers of the cluster have to be named', () => {
  const kind = { EXTERNAL_CA: 'ISTIOD_RA_KUBERNETES_API' };
  deepStrictEqual(
    [readDiscoveryEnvironment({}), readDiscoveryEnvironment({ ...kind, K8S_SIGNER: 'a/b' })].map(
      ({ signers }) => signers,
    ),
    [undefined, { defaultSigner: 'a/b', signerDomain: '' }],
  );
  throws(() => readDiscoveryEnvironment(kind), /K8S_SIGNER or CERT_SIGNER_DOMAIN/);
  throws(() => readDiscoveryEnvironment({ EXTERNAL_CA: 'other' }), /ISTIOD_RA_KUBERNETES_API only/);
});

test('limits of the server and what is read of a cluster can be set', () => {
  const read = readDiscoveryEnvironment({
    ISTIO_GPRC_MAXRECVMSGSIZE: '1000000',
    ISTIO_GPRC_MAXSTREAMS: '50',
    GRPC_KEEPALIVE_INTERVAL: '10s',
    GRPC_KEEPALIVE_TIMEOUT: 'soon',
    PILOT_JWT_PUB_KEY_REFRESH_INTERVAL: '1m',
    PILOT_IGNORE_RESOURCES: '*.istio.io',
    ISTIO_WATCH_NAMESPACE: 'shop',
  });
  deepStrictEqual(
    [read.grpcLimits, read.keySetRefreshMs, read.isRead('gateways.networking.istio.io'), read.watchNamespace],
    [
      {
        maxMessageBytes: 1_000_000,
        maxTrustedMessageBytes: 1_000_000,
        maxStreamsPerConnection: 50,
        pingIntervalMs: 10_000,
      },
      60_000,
      false,
      'shop',
    ],
  );
  deepStrictEqual(
    read.warnings.map((text) => text.split(' has')[0]),
    ['the variable GRPC_KEEPALIVE_TIMEOUT'],
  );
});

test('trusted node accounts are pairs; what is none is told and left out', () => {
  const { trustedNodeAccounts, warnings } = readDiscoveryEnvironment({
    CA_TRUSTED_NODE_ACCOUNTS: 'istio-system/ztunnel,ztunnel,kube-system/ztunnel',
  });
  deepStrictEqual(
    [[...trustedNodeAccounts], warnings],
    [
      ['istio-system/ztunnel', 'kube-system/ztunnel'],
      ['CA_TRUSTED_NODE_ACCOUNTS: what is not of the form namespace/account is left out'],
    ],
  );
});

test('what is unknown, without effect or not readable is told, and the start goes on', () => {
  const { warnings, maxCertificateTtlMs } = readDiscoveryEnvironment({
    PILOT_ENABLE_MAGIC: '1',
    PILOT_DEBOUNCE_AFTER: '1s',
    PILOT_DEBOUNCE_MAX: '10s',
    MAX_WORKLOAD_CERT_TTL: 'soon',
  });
  deepStrictEqual(
    warnings.map((text) => text.split(/[:,]| has/)[0]),
    [
      'the variable PILOT_ENABLE_MAGIC is not known here',
      'the variable PILOT_DEBOUNCE_AFTER',
      'the variable MAX_WORKLOAD_CERT_TTL',
    ],
  );
  strictEqual(maxCertificateTtlMs, undefined);
});

test('what must not be ignored ends the start, all of it at once', () => {
  throws(
    () => readDiscoveryEnvironment({ COMPLIANCE_POLICY: 'fips' }),
    /COMPLIANCE_POLICY names no policy that is known: fips/,
  );
  throws(
    () => readDiscoveryEnvironment({ XDS_AUTH: 'false', TRUSTED_GATEWAY_CIDR: '10.0.0.0/8' }),
    /TRUSTED_GATEWAY_CIDR cannot be heeded.*unset TRUSTED_GATEWAY_CIDR\n.*XDS_AUTH cannot be heeded.*leave it at true/,
  );
});
