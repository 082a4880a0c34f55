/** Random choices for the simulator's tests, and the texts that match or nearly match what is drawn. */
import { type Rng, seededRng } from '#base/rng.ts';
import type { StringMatchJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';

/** Choices from one seed. */
export class Draw {
  readonly #rng: Rng;

  constructor(seed: number) {
    this.#rng = seededRng(seed);
  }

  int(limit: number): number {
    return this.#rng.int(limit);
  }

  chance(probability: number): boolean {
    return this.#rng.float() < probability;
  }

  one<T>(items: readonly T[]): T {
    const item = items[this.#rng.int(items.length)];
    if (item === undefined) throw new Error('nothing to draw from');
    return item;
  }

  /** Up to `most` of the items, in their order. */
  few<T>(items: readonly T[], most: number): readonly T[] {
    const count = this.#rng.int(Math.min(most, items.length) + 1);
    const left = new Set<number>();
    while (left.size < count) left.add(this.#rng.int(items.length));
    return items.filter((_item, i) => left.has(i));
  }

  /** The fields, each kept with its probability. */
  some<T extends object>(probability: number, fields: T): Partial<T> {
    return Object.fromEntries(Object.entries(fields).filter(() => this.chance(probability))) as Partial<T>;
  }
}

/** A matcher with texts that it takes, and texts that it nearly takes. */
export interface Sampled {
  readonly match: StringMatchJson;
  readonly hits: readonly string[];
  readonly misses: readonly string[];
}

export const URI_MATCHES: readonly Sampled[] = [
  { match: { exact: '/a' }, hits: ['/a', '/a?q=1', '/a#f'], misses: ['/A', '/a/', '/ab', '/a%2f'] },
  { match: { exact: '/api/v1' }, hits: ['/api/v1', '/api/./v1'], misses: ['/api/v1/', '/api//v1'] },
  { match: { prefix: '/a' }, hits: ['/a', '/abc', '/a/b?x=y', '/api/v1'], misses: ['/A', '/b/a'] },
  { match: { prefix: '/api/' }, hits: ['/api/', '/api/v1/x'], misses: ['/api', '/API/x', '/x/../api'] },
  { match: { prefix: '/shop' }, hits: ['/shop', '/shopping?q=2', '/shop/cart'], misses: ['/sho', '//shop'] },
  { match: { prefix: '/' }, hits: ['/', '/anything', '/?q=1'], misses: [] },
  { match: { regex: '/v[0-9]+/.*' }, hits: ['/v1/', '/v22/x?q=1'], misses: ['/v/x', '/v1', '/V1/x'] },
  { match: { regex: '(?i)/ci/(x|y)+' }, hits: ['/CI/x', '/ci/XyY'], misses: ['/ci/', '/ci/xz'] },
  { match: { regex: '.*\\.(png|jpg)' }, hits: ['/i.png', '/a/b.jpg?q=1'], misses: ['/i.pngx', '/ipng'] },
  { match: { regex: '/a' }, hits: ['/a', '/a?z'], misses: ['/ab', '/xa'] },
];

export const HEADER_MATCHES: readonly Sampled[] = [
  { match: { exact: 'jason' }, hits: ['jason'], misses: ['Jason', 'jason ,x', 'tom', ''] },
  { match: { prefix: 'v' }, hits: ['v', 'v1'], misses: ['V1', 'xv', ''] },
  { match: { regex: 'v[0-9]+' }, hits: ['v1', 'v207'], misses: ['v', 'v1x', ''] },
  { match: { regex: '.*' }, hits: ['', 'anything'], misses: [] },
  { match: {}, hits: ['', 'x'], misses: [] },
];

export const QUERY_MATCHES: readonly Sampled[] = [
  { match: { exact: '1' }, hits: ['1'], misses: ['', '11', '%31'] },
  { match: { regex: 'a+' }, hits: ['a', 'aaa'], misses: ['', 'ab'] },
  { match: { prefix: 'b' }, hits: ['b', 'bc%20d'], misses: ['', 'ab'] },
  { match: {}, hits: ['', 'x'], misses: [] },
];

export const METHOD_MATCHES: readonly Sampled[] = [
  { match: { exact: 'GET' }, hits: ['GET'], misses: ['POST', 'HEAD'] },
  { match: { regex: 'P.*' }, hits: ['POST', 'PUT', 'PATCH'], misses: ['GET'] },
];

const SAMPLES: ReadonlyMap<string, Sampled> = new Map(
  [...URI_MATCHES, ...HEADER_MATCHES, ...QUERY_MATCHES, ...METHOD_MATCHES].map((sampled) => [
    JSON.stringify(sampled.match),
    sampled,
  ]),
);

/** A text for a matcher: one that it takes, or one that it nearly takes. */
export function sampleFor(draw: Draw, match: StringMatchJson, isHit: boolean): string {
  const { hits, misses } = SAMPLES.get(JSON.stringify(match)) ?? { hits: [match.exact ?? 'x'], misses: [] };
  return draw.one(isHit || misses.length === 0 ? hits : misses);
}
