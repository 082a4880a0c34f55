/**
 * Suite router: where a given request goes by the route configuration that a proxy of an xds case gets. Each request is a
 * case of its own. Compared: the outcome and what its README lists, as far as route-evaluation.ts reads it; names are informative.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeRoutes } from '#simulation/resources.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';
import { type CaseInputs, readCase } from './case-inputs.ts';
import { findDifferences } from './difference.ts';
import { evaluateRequest, type RouterRequest } from './route-evaluation.ts';
import type { ConformanceCase, Suite } from './suite.ts';

type Plain = Readonly<Record<string, unknown>>;

interface RouterTable {
  readonly case: string;
  readonly proxy: string;
  readonly requests: readonly {
    readonly routeConfig: string;
    readonly request: RouterRequest;
    readonly expect: Plain;
  }[];
}

/** What is compared; `redirect` in its own way, since only the parts that change are listed. */
const FIELDS = [
  'outcome',
  'clusters',
  'retries',
  'retryOn',
  'timeout',
  'rewrittenPath',
  'hostRewrite',
  'status',
  'body',
  'mirrors',
  'fault',
  'cors',
  'hashPolicy',
  'request_headers_to_add',
  'request_headers_to_remove',
  'response_headers_to_add',
  'response_headers_to_remove',
];

export const ROUTER: Suite = {
  name: 'router',
  missing: ['multicluster', 'gateway-api', 'ambient'],
  cases(dir) {
    const folder = join(dir, 'router', 'cases');
    return readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .sort()
      .flatMap((file) => casesOf(dir, JSON.parse(readFileSync(join(folder, file), 'utf8')) as RouterTable));
  },
};

function casesOf(dir: string, table: RouterTable): readonly ConformanceCase[] {
  const inputs = readCase(join(dir, 'xds', 'cases', table.case));
  let routes: ProxySnapshot['routes'] | undefined;
  return table.requests.map(({ routeConfig, request, expect }, index) => ({
    name: `${table.case}-${table.proxy}-${index}`,
    tags: inputs.tags,
    needs: inputs.needs.filter((need) => need !== 'security' && need !== 'telemetry'),
    run() {
      routes ??= connected(inputs).entries(table.proxy).routes;
      const own = routes.get(routeConfig);
      if (own === undefined)
        return expect['outcome'] === 'not_found' ? [] : [`no route configuration ${routeConfig}`];
      const got = evaluateRequest(decodeRoutes(own.resource), request);
      const found: string[] = [];
      const where = `${routeConfig} ${request.method} ${request.host}${request.path}`;
      for (const field of FIELDS) findDifferences(`${where} ${field}`, expect[field], got[field], found);
      for (const [field, value] of Object.entries((expect['redirect'] ?? {}) as Plain)) {
        findDifferences(
          `${where} redirect.${field}`,
          value,
          (got['redirect'] as Plain | undefined)?.[field],
          found,
        );
      }
      return found;
    },
  }));
}

function connected({ meshConfig, objects, proxies }: CaseInputs): MeshFixture {
  const fixture = meshFixture();
  fixture.mesh.meshConfig.set('mesh', meshConfig);
  fixture.set(...objects);
  for (const proxy of proxies) fixture.connect(proxy);
  return fixture;
}
