/**
 * What one stream asks for of that which is made on demand only: the name table, and the named resources of a gRPC
 * library. A request for it is answered from a snapshot that was made for it, so that "not there" means what it says.
 */
import { sortedBy } from '#base/bytes-order.ts';
import { type Demand, NO_DEMAND } from '#model/demand.ts';
import type { Proxy } from '#model/proxy.ts';
import { CDS, LDS, NDS, RDS, type ResourceType } from './resource-type.ts';

type NamedPart = 'listeners' | 'routes' | 'clusters';

const PARTS: ReadonlyMap<ResourceType, NamedPart> = new Map([
  [LDS, 'listeners'],
  [RDS, 'routes'],
  [CDS, 'clusters'],
]);

/** The demand of a stream as its requests come in. */
export class StreamDemand {
  readonly #generator: Proxy['generator'];
  #demand: Demand = NO_DEMAND;

  constructor(generator: Proxy['generator']) {
    this.#generator = generator;
  }

  get current(): Demand {
    return this.#demand;
  }

  /** True for types that the demand decides about. */
  concerns(type: ResourceType): boolean {
    return type === NDS || (this.#generator === 'grpc' && PARTS.has(type));
  }

  /** Takes the names of a type that the client wants from now on. True when the demand has changed. */
  take(type: ResourceType, names: Iterable<string>): boolean {
    const before = this.#demand;
    const part = PARTS.get(type);
    if (part === undefined) {
      if (!before.nameTable) this.#demand = { ...before, nameTable: true };
    } else {
      const wanted = sortedBy(new Set(names), (name) => name);
      if (!isSameList(before[part], wanted)) this.#demand = { ...before, [part]: wanted };
    }
    return this.#demand !== before;
  }

  /** True when a snapshot that was made for `demand` has all that this stream asks for of the type. */
  isMet(type: ResourceType, demand: Demand): boolean {
    const part = PARTS.get(type);
    if (part === undefined) return demand.nameTable;
    const made = new Set(demand[part]);
    return this.#demand[part].every((name) => made.has(name));
  }
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
