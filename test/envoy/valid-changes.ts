/**
 * Random changes to Bookinfo's mesh, each of which keeps every request of its callers valid: the service has endpoints, nothing
 * forbids the caller, nothing takes longer than a second. The same seed gives the same changes.
 */
import type { Rng } from '#base/rng.ts';

/** One change: objects to apply, or one to remove. */
export interface Change {
  readonly name: string;
  readonly yaml?: string;
  readonly remove?: { readonly kind: string; readonly name: string; readonly namespace: string };
}

const NETWORKING = 'networking.istio.io/v1';
const SECURITY = 'security.istio.io/v1';
/** Who calls each workload, by its label app. */
const CALLERS: Readonly<Record<string, readonly string[]>> = {
  productpage: ['istio-system/sa/istio-ingressgateway-service-account'],
  details: ['default/sa/bookinfo-productpage'],
  reviews: ['default/sa/bookinfo-productpage'],
  ratings: ['default/sa/bookinfo-productpage', 'default/sa/bookinfo-reviews'],
};
const VERSIONS = ['v1', 'v2', 'v3'];
const SERVICES = Object.keys(CALLERS);
const BALANCERS = ['ROUND_ROBIN', 'LEAST_REQUEST', 'RANDOM'];
const RETRY_ON = [
  '5xx',
  'connect-failure,refused-stream',
  'gateway-error,reset',
  '503,retriable-status-codes',
];

/** What the mesh must have before the first change. */
export function firstObjects(): string {
  return [destinationRule('reviews', VERSIONS.map(versionSubset)), weights(VERSIONS, [34, 33, 33])].join(
    '---\n',
  );
}

/** Makes changes one after the other. */
export class ValidChanges {
  readonly #rng: Rng;
  readonly #kinds: readonly (() => Change)[];
  /** Objects that may be removed, by kind and name; a default takes their place. */
  readonly #removable: Map<
    string,
    { readonly kind: string; readonly name: string; readonly namespace: string }
  > = new Map();

  /** A subset of reviews beside the versions, '' for none; and whether routes lead to it. */
  #extra = '';
  #isExtraRouted = false;

  constructor(rng: Rng) {
    this.#rng = rng;
    this.#kinds = [
      () => this.#weights(),
      () => this.#subsets(),
      () => this.#move(),
      () => this.#gatewayRoute(),
      () => this.#timeout(),
      () => this.#headers(),
      () => this.#retries(),
      () => this.#pool(),
      () => this.#policy(),
      () => this.#gatewayPolicy(),
      () => this.#mutualTls(),
      () => this.#removal(),
    ];
  }

  next(): Change {
    return this.#pick(this.#kinds)();
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#rng.int(choices.length)] as T;
  }

  #weights(): Change {
    const shares = this.#shares();
    this.#isExtraRouted = false;
    this.#mayRemove('VirtualService', 'reviews', 'default');
    return { name: `reviews by weight ${shares.join('/')}`, yaml: weights(VERSIONS, shares) };
  }

  #shares(): readonly number[] {
    const first = this.#rng.int(101);
    const second = this.#rng.int(101 - first);
    return [first, second, 100 - first - second];
  }

  /** The versions stay, since weights name them, and so does a subset that routes lead to. */
  #subsets(): Change {
    if (!this.#isExtraRouted) this.#extra = this.#pick(['', this.#newSubset()]);
    const balancer = this.#pick(BALANCERS);
    return {
      name: `subsets of reviews with "${this.#extra}", ${balancer}`,
      yaml: this.#reviewsRule(balancer),
    };
  }

  /** Routes go to a subset that comes with them; the one they led to goes in the same change. */
  #move(): Change {
    this.#extra = this.#newSubset();
    this.#isExtraRouted = true;
    const shares = this.#shares();
    this.#mayRemove('VirtualService', 'reviews', 'default');
    const routes = weights([this.#extraName(), 'v2', 'v3'], shares);
    const yaml = `${this.#reviewsRule(this.#pick(BALANCERS))}---\n${routes}`;
    return { name: `reviews by weight ${shares.join('/')}, the first to ${this.#extra}`, yaml };
  }

  #newSubset(): string {
    const labels = this.#pick(['app: reviews', 'version: v1', 'version: v2']);
    return `{ name: extra-${this.#rng.int(1000)}, labels: { ${labels} } }`;
  }

  #extraName(): string {
    return /extra-\d+/.exec(this.#extra)?.[0] ?? '';
  }

  #reviewsRule(balancer: string): string {
    const subsets = [...VERSIONS.map(versionSubset), ...(this.#extra === '' ? [] : [this.#extra])];
    return destinationRule('reviews', subsets, `{ loadBalancer: { simple: ${balancer} } }`);
  }

  #gatewayRoute(): Change {
    const value = this.#rng.int(1000);
    const field = this.#pick([
      `timeout: ${2 + this.#rng.int(9)}s`,
      `headers: { response: { set: { x-churn: "${value}" } } }`,
      'retries: { attempts: 3, retryOn: "gateway-error,connect-failure" }',
    ]);
    const spec = `  hosts: ["*"]\n  gateways: [bookinfo-gateway]\n  http:\n    - route: [{ destination: { host: productpage } }]\n`;
    const yaml = `${head(NETWORKING, 'VirtualService', 'bookinfo', 'default')}${spec}      ${field}\n`;
    return { name: `gateway's route with ${field}`, yaml };
  }

  #timeout(): Change {
    const seconds = 2 + this.#rng.int(9);
    return this.#route('details', `timeout of ${seconds} s`, `timeout: ${seconds}s`);
  }

  #headers(): Change {
    const value = this.#rng.int(1000);
    const operations = this.#pick([
      `{ request: { set: { x-churn: "${value}" } } }`,
      `{ response: { add: { x-churn: "${value}" }, remove: [server] } }`,
      `{ request: { remove: [x-churn], add: { x-more: "${value}" } }, response: { set: { x-churn: "${value}" } } }`,
    ]);
    return this.#route(this.#pick(['details', 'ratings']), `headers ${value}`, `headers: ${operations}`);
  }

  #retries(): Change {
    const attempts = this.#rng.int(4);
    const retryOn = this.#pick(RETRY_ON);
    const retries =
      attempts === 0
        ? '{ attempts: 0 }'
        : `{ attempts: ${attempts}, perTryTimeout: 3s, retryOn: "${retryOn}" }`;
    return this.#route('ratings', `${attempts} retries`, `retries: ${retries}`);
  }

  #route(service: string, name: string, field: string): Change {
    this.#mayRemove('VirtualService', service, 'default');
    return {
      name: `${name} to ${service}`,
      yaml: virtualService(service, [`{ destination: { host: ${service} } }`], field),
    };
  }

  /** Changes clusters. */
  #pool(): Change {
    const service = this.#pick(['details', 'ratings', 'productpage']);
    const policy = this.#pick([
      `{ connectionPool: { http: { maxRequestsPerConnection: ${10 + this.#rng.int(90)} } } }`,
      `{ connectionPool: { tcp: { maxConnections: ${500 + this.#rng.int(500)}, connectTimeout: 5s } } }`,
      `{ loadBalancer: { simple: ${this.#pick(BALANCERS)} } }`,
      '{ tls: { mode: ISTIO_MUTUAL } }',
      '{ outlierDetection: { consecutive5xxErrors: 50, interval: 1s } }',
    ]);
    this.#mayRemove('DestinationRule', service, 'default');
    return { name: `traffic policy of ${service} ${policy}`, yaml: destinationRule(service, [], policy) };
  }

  #policy(): Change {
    const service = this.#pick(SERVICES);
    const name = `churn-${service}`;
    this.#mayRemove('AuthorizationPolicy', name, 'default');
    const rule = this.#pick([
      `- from: [{ source: { principals: [${(CALLERS[service] ?? []).map((one) => `cluster.local/ns/${one}`).join(', ')}] } }]`,
      `- to: [{ operation: { methods: [GET] } }]`,
      `- from: [{ source: { namespaces: [default, istio-system] } }]\n      to: [{ operation: { paths: ["/*"] } }]`,
    ]);
    const isDenial = this.#rng.int(4) === 0;
    const spec = isDenial
      ? `  action: DENY\n  rules:\n    - to: [{ operation: { paths: [/never/${this.#rng.int(100)}] } }]\n`
      : `  action: ALLOW\n  rules:\n    ${rule}\n`;
    const yaml = `${head(SECURITY, 'AuthorizationPolicy', name, 'default')}  selector: { matchLabels: { app: ${service} } }\n${spec}`;
    return { name: `${isDenial ? 'DENY of others' : 'ALLOW of callers'} at ${service}`, yaml };
  }

  /** Changes the gateway's listener, whose callers are outside the mesh. */
  #gatewayPolicy(): Change {
    const [name, namespace] = ['churn-gateway', 'istio-system'];
    this.#mayRemove('AuthorizationPolicy', name, namespace);
    const operation = this.#pick(['methods: [GET]', 'paths: ["/api/*"]', 'notPaths: [/never]']);
    const spec = `  selector: { matchLabels: { istio: ingressgateway } }\n  rules:\n    - to: [{ operation: { ${operation} } }]\n`;
    return {
      name: `ALLOW ${operation} at the gateway`,
      yaml: `${head(SECURITY, 'AuthorizationPolicy', name, namespace)}${spec}`,
    };
  }

  #mutualTls(): Change {
    const mode = this.#pick(['STRICT', 'PERMISSIVE']);
    const service = this.#pick(['', ...SERVICES]);
    const name = service === '' ? 'default' : `churn-${service}`;
    this.#mayRemove('PeerAuthentication', name, 'default');
    const selector = service === '' ? '' : `  selector: { matchLabels: { app: ${service} } }\n`;
    const yaml = `${head(SECURITY, 'PeerAuthentication', name, 'default')}${selector}  mtls: { mode: ${mode} }\n`;
    return { name: `${mode} ${service === '' ? 'everywhere' : `at ${service}`}`, yaml };
  }

  /** Something that was added goes; with nothing to remove, weights change. */
  #removal(): Change {
    const [key, ref] = this.#pick([...this.#removable]) ?? [];
    if (key === undefined || ref === undefined) return this.#weights();
    this.#removable.delete(key);
    if (key === 'VirtualService/reviews') this.#isExtraRouted = false;
    return { name: `without ${ref.kind} ${ref.name}`, remove: ref };
  }

  #mayRemove(kind: string, name: string, namespace: string): void {
    this.#removable.set(`${kind}/${name}`, { kind, name, namespace });
  }
}

function head(apiVersion: string, kind: string, name: string, namespace: string): string {
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec:\n`;
}

function versionSubset(version: string): string {
  return `{ name: ${version}, labels: { version: ${version} } }`;
}

function weights(subsets: readonly string[], shares: readonly number[]): string {
  const routes = subsets.map(
    (subset, index) => `{ destination: { host: reviews, subset: ${subset} }, weight: ${shares[index] ?? 0} }`,
  );
  return virtualService('reviews', routes);
}

function virtualService(service: string, routes: readonly string[], field = ''): string {
  const rest = field === '' ? '' : `      ${field}\n`;
  return `${head(NETWORKING, 'VirtualService', service, 'default')}  hosts: [${service}]\n  http:\n    - route: [${routes.join(', ')}]\n${rest}`;
}

function destinationRule(service: string, subsets: readonly string[], policy = ''): string {
  const parts = [
    ...(policy === '' ? [] : [`  trafficPolicy: ${policy}\n`]),
    ...(subsets.length === 0 ? [] : [`  subsets: [${subsets.join(', ')}]\n`]),
  ];
  return `${head(NETWORKING, 'DestinationRule', service, 'default')}  host: ${service}\n${parts.join('')}`;
}
