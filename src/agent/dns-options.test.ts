import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type DnsSettings,
  listenAddresses,
  nameScope,
  parseResolvConf,
  readDnsSettings,
} from './dns-options.ts';

interface Given {
  readonly kind?: 'sidecar' | 'router';
  readonly isRoot?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
}

function read({ kind = 'sidecar', isRoot = false, environment = {} }: Given) {
  const problems: string[] = [];
  const settings = readDnsSettings({
    kind,
    isRoot,
    namespace: 'shop',
    domain: 'shop.svc.cluster.local',
    text: (name) => environment[name],
    problem: (name) => problems.push(name),
  });
  return { settings, problems };
}

const ON = { ISTIO_META_DNS_CAPTURE: 'true' };

test('DNS is served where it is captured, at gateways where it is asked for', () => {
  const cases: readonly (readonly [Given, boolean])[] = [
    [{}, false],
    [{ environment: { ISTIO_META_DNS_CAPTURE: 'false' } }, false],
    [{ environment: ON }, true],
    [{ environment: { ISTIO_META_DNS_CAPTURE: '1' } }, true],
    [{ kind: 'router', environment: ON }, false],
    [{ kind: 'router', environment: { ISTIO_META_ENABLE_DNS_SERVER: 'true' } }, true],
  ];
  assert.deepEqual(
    cases.map(([given]) => read(given).settings !== undefined),
    cases.map(([, is]) => is),
  );
});

test('addresses, with what cannot be used named', () => {
  const listen = (address: string | undefined, isRoot = false, more = {}) => {
    const environment = { ...ON, ...(address === undefined ? {} : { DNS_PROXY_ADDR: address }), ...more };
    const { settings, problems } = read({ isRoot, environment });
    return [`${settings?.listen.address} ${settings?.listen.port}`, ...problems];
  };
  assert.deepEqual(listen(undefined), ['localhost 15053']);
  assert.deepEqual(listen(undefined, false, { LATEEN_LISTEN_ADDRESS: '127.4.0.2' }), ['127.4.0.2 15053']);
  assert.deepEqual(listen('127.1.1.1:5353'), ['127.1.1.1 5353']);
  assert.deepEqual(listen('[::1]:5353'), ['::1 5353']);
  assert.deepEqual(listen('localhost:53', true), ['localhost 53']);
  assert.deepEqual(listen('localhost:53'), ['localhost 15053', 'DNS_PROXY_ADDR']);
  assert.deepEqual(listen('nonsense'), ['localhost 15053', 'DNS_PROXY_ADDR']);
});

test('the rest of the options', () => {
  const environment = {
    ...ON,
    DNS_FORWARD_PARALLEL: 'true',
    DNS_FORWARD_TIMEOUT: '250ms',
    LATEEN_RESOLV_CONF: '/x',
  };
  const { settings } = read({ environment });
  assert.deepEqual(
    [settings?.isParallel, settings?.timeoutMs, settings?.resolvConfPaths, settings?.respondsBeforeTable],
    [true, 250, ['/x'], false],
  );
  assert.deepEqual(read({ environment: { ...ON, DNS_FORWARD_TIMEOUT: '-1s' } }).problems, [
    'DNS_FORWARD_TIMEOUT',
  ]);
  const resolver = read({ isRoot: true, environment: { ...ON, DNS_PROXY_ADDR: 'localhost:53' } }).settings;
  assert.equal(resolver?.respondsBeforeTable, true);
});

const CONF = `
# made by somebody
nameserver 10.0.0.10   ; the cluster's
nameserver fd00::10
nameserver [127.0.0.1]:5353
nameserver ns.example.com
domain old.example.com
search shop.svc.cluster.local. SVC.cluster.local cluster.local
options ndots:5
`;

test('resolv.conf', () => {
  const conf = parseResolvConf(CONF);
  assert.deepEqual(
    conf.servers.map(({ address, port }) => `${address} ${port}`),
    ['10.0.0.10 53', 'fd00::10 53', '127.0.0.1 5353'],
  );
  assert.deepEqual(conf.searchDomains, ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local']);
  const settings = read({ environment: ON }).settings as DnsSettings;
  assert.deepEqual(nameScope(settings, conf), {
    namespace: 'shop',
    domain: 'svc.cluster.local',
    searchDomain: 'shop.svc.cluster.local',
  });
  const listening = (text: string) =>
    listenAddresses(settings, parseResolvConf(text)).map(({ address }) => address);
  assert.deepEqual(listening(CONF), ['127.0.0.1', '::1']);
  assert.deepEqual(listening('nameserver fd00::10'), ['::1']);
  assert.deepEqual(listening(''), ['127.0.0.1']);
});
