/** EnvoyFilters at work in real Envoys: filters put in, limits kept, routes and clusters merged with, and all of it lifted again. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Answer, waitFor } from './discovery-fixture.ts';
import { type EnvoyFilterRig, startEnvoyFilterRig, startRateLimitServer } from './envoy-filter-rig.ts';
import { ownAddress } from './static-envoy.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const LUA = `${EXTENSIONS}.filters.http.lua.v3.Lua`;
const HCM = `filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}`;
const BEFORE_ROUTER = `filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}`;

let rig: EnvoyFilterRig;

before(async () => {
  rig = await startEnvoyFilterRig();
});
after(async () => (rig as EnvoyFilterRig | undefined)?.[Symbol.asyncDispose]());

const header = (name: string) => async (): Promise<string> =>
  String((await rig.callSidecar()).headers[name] ?? 'none');

const lua = (code: string): string => `
    - applyTo: HTTP_FILTER
      match: {context: SIDECAR_INBOUND, listener: {${BEFORE_ROUTER}}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: test.lua
          typed_config:
            "@type": ${LUA}
            default_source_code: {inline_string: "${code}"}`;

const addHeader = (value: string): string =>
  `function envoy_on_response(handle) handle:headers():add('x-lua', '${value}') end`;

/** What the application was sent. */
function sent({ body }: Answer): Readonly<Record<string, string>> {
  return (JSON.parse(body) as { readonly headers: Readonly<Record<string, string>> }).headers;
}

describe('an EnvoyFilter', { timeout: 60_000 }, () => {
  it('puts a Lua filter in, changes it, and takes it out again', async () => {
    await rig.filter('lua', 'shop', lua(addHeader('one')));
    await waitFor('the filter', header('x-lua'), (value) => value === 'one');
    await rig.filter('lua', 'shop', lua(addHeader('two')));
    await waitFor('the changed filter', header('x-lua'), (value) => value === 'two');
    await rig.remove('lua', 'shop');
    await waitFor('no filter', header('x-lua'), (value) => value === 'none');
  });

  it('limits the rate of a workload by itself, as in Istio’s sample', async () => {
    await rig.filter('limit', 'shop', localLimit());
    const limited = await waitFor(
      'a limit',
      () => rig.callSidecar(),
      ({ status }) => status === 429,
    );
    strictEqual(limited.headers['x-local-rate-limit'], 'true');
    await rig.remove('limit', 'shop');
    await waitFor(
      'no limit',
      () => rig.callSidecar(),
      ({ status }) => status === 200,
    );
  });

  it('asks a rate limit service, over a cluster of its own, for what routes say', async () => {
    const address = ownAddress();
    await using limits = await startRateLimitServer(address, 3);
    await rig.filter('service', 'istio-system', globalLimit(address, limits.port));
    await waitFor(
      'a question',
      () => rig.callGateway('/counted'),
      () => limits.asked.length > 0,
    );
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++) statuses.push((await rig.callGateway('/counted')).status);
    deepStrictEqual(statuses.slice(-3), [429, 429, 429]);
    ok(
      limits.asked.every((key) => key === 'PATH=/counted'),
      limits.asked.join(),
    );
    strictEqual((await rig.callGateway('/other')).status, 200);
    await rig.remove('service', 'istio-system');
    await waitFor(
      'no limit',
      () => rig.callGateway('/counted'),
      ({ status }) => status === 200,
    );
  });

  it('adds a header to a route and a cluster setting that Envoy shows, and both go with it', async () => {
    const cluster = `outbound|${rig.appPort}||app.shop.svc.cluster.local`;
    const isPatched = async (): Promise<boolean> => {
      const dump = JSON.parse(await rig.gatewayDump()) as { readonly configs: readonly Config[] };
      const found = dump.configs.flatMap(({ dynamic_active_clusters: active = [] }) => active);
      return found.some((one) => one.cluster.name === cluster && one.cluster.connect_timeout === '7s');
    };
    await rig.filter('merge', 'istio-system', routeAndCluster(cluster));
    const answer = await waitFor(
      'the header',
      () => rig.callGateway(),
      (one) => sent(one)['x-patched'] === 'yes',
    );
    strictEqual(answer.status, 200);
    await waitFor('the cluster', isPatched, Boolean);
    await rig.remove('merge', 'istio-system');
    await waitFor(
      'no header',
      () => rig.callGateway(),
      (one) => sent(one)['x-patched'] === undefined,
    );
    await waitFor('the cluster as it was', isPatched, (found) => !found);
  });

  it('serves an extension config that a filter asks for, and its changes', async () => {
    await rig.filter('ecds', 'shop', discovered(addHeader('first')));
    await waitFor('the config', header('x-lua'), (value) => value === 'first');
    await rig.filter('ecds', 'shop', discovered(addHeader('second')));
    await waitFor('the changed config', header('x-lua'), (value) => value === 'second');
    await rig.remove('ecds', 'shop');
    await waitFor('no filter', header('x-lua'), (value) => value === 'none');
  });

  it('that Envoy refuses is held back alone: the base and other patches keep working', async () => {
    const held = async (): Promise<string> => rig.controlPlane.held().join(', ');
    await rig.filter('good', 'shop', lua(addHeader('good')));
    await waitFor('the good filter', header('x-lua'), (value) => value === 'good');
    // A filter behind the router: Envoy wants the router last.
    await rig.filter('bad', 'shop', lua(addHeader('bad')).replace('INSERT_BEFORE', 'INSERT_AFTER'));
    await waitFor('a verdict', held, (text) => text === 'EnvoyFilter/shop/bad');
    match(rig.controlPlane.heldBack.list()[0]?.reason ?? '', /terminal filter/);
    await rig.controlPlane.synced();
    strictEqual((await rig.callSidecar()).status, 200);
    await rig.filter('good', 'shop', lua(addHeader('better')));
    await waitFor('a later change', header('x-lua'), (value) => value === 'better');
    await rig.filter('bad', 'shop', lua(addHeader('mended')).replace('test.lua', 'test.other'));
    deepStrictEqual(rig.controlPlane.held(), []);
    await waitFor('the mended one', header('x-lua'), (value) => value.includes('mended'));
    await rig.filter('bad', 'shop', lua('this is not Lua').replace('test.lua', 'test.other'));
    await waitFor('a verdict', held, (text) => text === 'EnvoyFilter/shop/bad (last good)');
    await rig.controlPlane.synced();
    match(await header('x-lua')(), /mended/);
  });

  it('with an extension config that Envoy refuses is held back too, and requests pass', async () => {
    const held = async (): Promise<string> => rig.controlPlane.held().join(', ');
    await rig.remove('bad', 'shop');
    await rig.filter('ecds', 'shop', discovered('neither is this'));
    await waitFor('a verdict', held, (text) => text === 'EnvoyFilter/shop/ecds');
    await waitFor(
      'an answer',
      () => rig.callSidecar(),
      ({ status }) => status === 200,
    );
    await rig.filter('ecds', 'shop', discovered(addHeader('mended')));
    await waitFor('the mended one', header('x-lua'), (value) => value.includes('mended'));
  });
});

interface Config {
  readonly dynamic_active_clusters?: readonly {
    readonly cluster: { readonly name: string; readonly connect_timeout: string };
  }[];
}

function localLimit(): string {
  const always = '{default_value: {numerator: 100, denominator: HUNDRED}}';
  return `
    - applyTo: HTTP_FILTER
      match: {context: SIDECAR_INBOUND, listener: {${HCM}}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.local_ratelimit
          typed_config:
            "@type": type.googleapis.com/udpa.type.v1.TypedStruct
            type_url: ${EXTENSIONS}.filters.http.local_ratelimit.v3.LocalRateLimit
            value: {stat_prefix: http_local_rate_limiter}
    - applyTo: HTTP_ROUTE
      match: {context: SIDECAR_INBOUND, routeConfiguration: {vhost: {name: "inbound|http|${rig.appPort}", route: {action: ANY}}}}
      patch:
        operation: MERGE
        value:
          typed_per_filter_config:
            envoy.filters.http.local_ratelimit:
              "@type": ${EXTENSIONS}.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: http_local_rate_limiter
              token_bucket: {max_tokens: 4, tokens_per_fill: 4, fill_interval: 3600s}
              filter_enabled: ${always}
              filter_enforced: ${always}
              response_headers_to_add: [{append: false, header: {key: x-local-rate-limit, value: "true"}}]`;
}

function globalLimit(address: string, port: number): string {
  return `
    - applyTo: HTTP_FILTER
      match: {context: GATEWAY, listener: {${BEFORE_ROUTER}}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.ratelimit
          typed_config:
            "@type": ${EXTENSIONS}.filters.http.ratelimit.v3.RateLimit
            domain: test
            failure_mode_deny: false
            timeout: 5s
            rate_limit_service:
              transport_api_version: V3
              grpc_service: {envoy_grpc: {cluster_name: rate-limit-cluster}, timeout: 5s}
    - applyTo: CLUSTER
      match: {context: GATEWAY}
      patch:
        operation: ADD
        value:
          name: rate-limit-cluster
          type: STATIC
          connect_timeout: 1s
          typed_extension_protocol_options:
            envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
              "@type": ${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions
              explicit_http_config: {http2_protocol_options: {}}
          load_assignment:
            cluster_name: rate-limit-cluster
            endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: ${address}, port_value: ${port}}}}}]}]
    - applyTo: VIRTUAL_HOST
      match: {context: GATEWAY, routeConfiguration: {portNumber: ${rig.gatewayPort}, vhost: {route: {action: ANY}}}}
      patch:
        operation: MERGE
        value:
          rate_limits:
            - actions: [{header_value_match: {descriptor_key: PATH, descriptor_value: /counted, headers: [{name: ":path", string_match: {exact: /counted}}]}}]`;
}

function routeAndCluster(cluster: string): string {
  return `
    - applyTo: HTTP_ROUTE
      match: {context: GATEWAY, routeConfiguration: {vhost: {name: "app.example.com:${rig.gatewayPort}", route: {name: all}}}}
      patch:
        operation: MERGE
        value: {request_headers_to_add: [{header: {key: x-patched, value: "yes"}}]}
    - applyTo: CLUSTER
      match: {context: GATEWAY, cluster: {name: "${cluster}"}}
      patch: {operation: MERGE, value: {connect_timeout: 7s}}`;
}

function discovered(code: string): string {
  return `
    - applyTo: HTTP_FILTER
      match: {context: SIDECAR_INBOUND, listener: {${BEFORE_ROUTER}}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: test.discovered
          config_discovery:
            config_source: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 5s}
            type_urls: [${LUA}]
    - applyTo: EXTENSION_CONFIG
      match: {context: SIDECAR_INBOUND}
      patch:
        operation: ADD
        value:
          name: test.discovered
          typed_config:
            "@type": ${LUA}
            default_source_code: {inline_string: "${code}"}`;
}
