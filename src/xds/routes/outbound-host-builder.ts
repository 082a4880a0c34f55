/**
 * Builds the virtual host of one host and port for one view: finds the VirtualService whose routes it gets, resolves
 * their destinations, and has the rest built and encoded, or found.
 */
import type { Cause } from '#base/cause.ts';
import { sortedBy } from '#base/bytes-order.ts';
import type { Collection, Fetch } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { MESH_GATEWAY, type VirtualService } from '#model/virtual-service.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import type { RouteContext } from '#scope/route-context.ts';
import {
  type HostFacts,
  type PortInference,
  routedSession,
  servicePortHash,
} from '#scope/route-destination.ts';
import type { HostDomains } from '#scope/route-domains.ts';
import { type SelectedRule, selectRules } from '#scope/route-selection.ts';
import type { RouteView } from '#scope/route-view.ts';
import { viewerKey } from '#scope/viewer.ts';
import { outboundClusterName } from '#xds/names.ts';
import { type HostRoutes, internVirtualHost, type OutboundVirtualHost } from './outbound-virtual-host.ts';
import type { EncodedVirtualHost } from './virtual-host.ts';
import { routeListInput } from './virtual-host-routes.ts';

/** One host and port to build. */
export interface HostTarget {
  /** `host:port`. */
  readonly name: string;
  readonly port: number;
  /** VirtualServices in order of precedence; the first with routes for the asker wins. */
  readonly bound: readonly VirtualService[];
  readonly domains: HostDomains;
  /** The service, undefined for a host that only VirtualServices name. */
  readonly host: OutboundHost | undefined;
  readonly hasOwnTable: boolean;
}

export interface HostBuilderDeps {
  readonly interner: Interner;
  readonly hosts: Collection<OutboundHost>;
}

interface Choice {
  readonly virtualService: VirtualService;
  readonly rules: readonly SelectedRule[];
}

const NO_CAUSES: readonly Cause[] = [];

export class OutboundHostBuilder {
  readonly #deps: HostBuilderDeps;
  readonly #fetch: Fetch;
  readonly #context: RouteContext;

  constructor(deps: HostBuilderDeps, fetch: Fetch, context: RouteContext) {
    this.#deps = deps;
    this.#fetch = fetch;
    this.#context = context;
  }

  /** Undefined for a host without service that has no route for the view. */
  build(target: HostTarget, view: RouteView): OutboundVirtualHost | undefined {
    const choice = choose(target, view);
    if (choice !== undefined) return this.#routed(target, view, choice);
    return target.host === undefined ? undefined : this.#plain(target, view, target.host);
  }

  /** A service that no VirtualService routes. */
  #plain(target: HostTarget, view: RouteView, { service, policy }: OutboundHost): OutboundVirtualHost {
    const hash = servicePortHash(policy, target.port);
    const encoded = this.#intern(target, view, {
      kind: 'default',
      cluster: outboundClusterName(target.port, '', service.hostname),
      hash,
      defaultRetries: this.#context.facts.defaultRetries,
    });
    return {
      port: target.port,
      encoded,
      forHttpProxy: this.#context.httpProxyViews.has(view.key) ? encoded : undefined,
      service,
      virtualService: undefined,
      otherCauses: hash === undefined ? NO_CAUSES : (policy?.causes ?? NO_CAUSES),
      hasOwnTable: target.hasOwnTable,
    };
  }

  #routed(target: HostTarget, view: RouteView, choice: Choice): OutboundVirtualHost {
    const asked = new Map<string, HostFacts>();
    const encode = (inference: PortInference): EncodedVirtualHost =>
      this.#intern(target, view, this.#routes({ target, view, choice, asked }, inference));
    const encoded = encode('listener');
    const forHttpProxy = this.#context.httpProxyViews.has(view.key) ? encode('single-port') : undefined;
    const policies = sortedBy(asked, ([hostname]) => hostname).flatMap(
      ([, facts]) => facts.policy?.causes ?? [],
    );
    return {
      port: target.port,
      encoded,
      forHttpProxy,
      service: target.host?.service,
      virtualService: choice.virtualService,
      otherCauses: [...ruleCauses(choice.rules), ...policies],
      hasOwnTable: target.hasOwnTable,
    };
  }

  #routes(request: RouteRequest, inference: PortInference): HostRoutes {
    const { target, view, choice, asked } = request;
    const lookup = (hostname: string): HostFacts | undefined => {
      const facts = this.#fetch.get(this.#deps.hosts, viewerKey(this.#context.viewer.key, hostname));
      if (facts !== undefined) asked.set(hostname, facts);
      return facts;
    };
    const list = routeListInput(
      choice.virtualService,
      choice.rules,
      { lookup, listenerPort: target.port, inference },
      {
        isTls: false,
        defaultRetries: this.#context.facts.defaultRetries,
        appendForwardedHost: view.appendsForwardedHost,
        shadowSuffix: this.#context.facts.shadowSuffix,
      },
    );
    return { kind: 'virtual-service', list };
  }

  #intern(target: HostTarget, view: RouteView, routes: HostRoutes): EncodedVirtualHost {
    const { name, domains } = target;
    const includeAttemptCount = view.includesAttemptCount;
    const session = routedSession(target.host?.service);
    return internVirtualHost(this.#deps.interner, { name, domains, routes, includeAttemptCount, session });
  }
}

interface RouteRequest {
  readonly target: HostTarget;
  readonly view: RouteView;
  readonly choice: Choice;
  /** Hosts that were looked up, for the causes. */
  readonly asked: Map<string, HostFacts>;
}

/** The first VirtualService that has a route for the view on the port. */
function choose(target: HostTarget, view: RouteView): Choice | undefined {
  const asker = { port: target.port, gateway: MESH_GATEWAY, namespace: view.namespace, labels: view.labels };
  for (const virtualService of target.bound) {
    const rules = selectRules(virtualService, asker);
    if (rules.length > 0) return { virtualService, rules };
  }
  return undefined;
}

/** The rules and matches that became routes, as causes with field paths. */
export function ruleCauses(rules: readonly SelectedRule[]): readonly Cause[] {
  return rules.map(({ rule, matchPath }) => ({ ...rule.cause, path: `${rule.cause.path}${matchPath}` }));
}
