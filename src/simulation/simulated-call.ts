/**
 * What the simulator answers: for every way in which a call may end, how likely it is, how it ends, and the steps that led
 * there, each with the objects of the user that it came from. Plain data.
 */
import type { Cause } from '#base/cause.ts';

/** What a step looked at. */
export type StepStage =
  | 'listener'
  | 'filter-chain'
  | 'tls'
  | 'network-filter'
  | 'request'
  | 'http-filter'
  | 'virtual-host'
  | 'route'
  | 'cluster'
  | 'endpoint';

/** One thing that was looked at on the way. */
export interface Step {
  /** Name of the proxy, `name.namespace`. */
  readonly proxy: string;
  readonly stage: StepStage;
  /** Name of what was looked at: a listener, filter, virtual host, route … */
  readonly subject: string;
  /** What came of it, in words. */
  readonly result: string;
  /** False where the simulator does not know what Envoy does here and goes on as if it did nothing. */
  readonly isEvaluated: boolean;
  /** The objects that it came from, as far as known. */
  readonly causes: readonly Cause[];
}

/** One endpoint that the last cluster may choose. */
export interface EndpointShare {
  readonly address: string;
  readonly port: number;
  /** Probability among the endpoints, by priority, locality and weight; a hash or load picks differently. */
  readonly share: number;
}

/** Where a cluster sends to. `unknown`: names are looked up at run time. */
export type EndpointChoice =
  | { readonly kind: 'known'; readonly endpoints: readonly EndpointShare[] }
  | { readonly kind: 'unknown' };

/** The request as it goes on. */
export interface ForwardedRequest {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly scheme: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** What the route says about the way there, as facts: nothing of it is played. */
export interface RouteFacts {
  /** Milliseconds; 0 for none. */
  readonly timeoutMs: number;
  /** 0 for no retries. */
  readonly retries: number;
  readonly retryOn: string;
  readonly mirrors: readonly { readonly cluster: string; readonly probability: number }[];
  /** Delay that a fault has injected before. */
  readonly delayMs: number;
}

interface HttpVerdict {
  /** Status that the client gets. */
  readonly status: number;
  /** Envoy's response code details. */
  readonly details: string;
  /** Name of the route, '' for none. */
  readonly route: string;
}

/** How a call ends at the last proxy that it reaches. */
export type Verdict =
  | {
      readonly kind: 'routed';
      readonly route: string;
      readonly virtualHost: string;
      readonly cluster: string;
      readonly endpoints: EndpointChoice;
      readonly request: ForwardedRequest;
      readonly facts: RouteFacts;
    }
  | (HttpVerdict & { readonly kind: 'redirect'; readonly location: string })
  | (HttpVerdict & { readonly kind: 'direct-response'; readonly body: string })
  | (HttpVerdict & { readonly kind: 'fault-abort'; readonly grpcStatus: number | undefined })
  | (HttpVerdict & { readonly kind: 'cors-answer' })
  | (HttpVerdict & { readonly kind: 'no-route' })
  | (HttpVerdict & { readonly kind: 'no-cluster'; readonly cluster: string })
  | (HttpVerdict & { readonly kind: 'no-endpoint'; readonly cluster: string })
  | (HttpVerdict & { readonly kind: 'denied'; readonly policy: string })
  | (HttpVerdict & { readonly kind: 'unauthenticated' })
  | (HttpVerdict & { readonly kind: 'bad-request' })
  | { readonly kind: 'tcp'; readonly cluster: string; readonly endpoints: EndpointChoice }
  | { readonly kind: 'tcp-no-cluster'; readonly cluster: string }
  | { readonly kind: 'tcp-no-endpoint'; readonly cluster: string }
  | { readonly kind: 'tcp-denied'; readonly policy: string }
  | { readonly kind: 'no-listener' }
  | { readonly kind: 'no-chain' }
  | { readonly kind: 'tls-refused'; readonly reason: string }
  | { readonly kind: 'not-evaluated'; readonly reason: string };

/** One way in which the call may end. */
export interface Outcome {
  readonly probability: number;
  readonly steps: readonly Step[];
  /** The proxy that had the last word. */
  readonly proxy: string;
  readonly verdict: Verdict;
}

/** True when nothing on the way was unknown to the simulator: then Envoy does exactly this. */
export function isCertain({ steps }: Outcome): boolean {
  return steps.every(({ isEvaluated }) => isEvaluated);
}

/** All ways; the probabilities add up to 1. */
export interface SimulatedCall {
  readonly outcomes: readonly Outcome[];
}
