/** The headers of a request on its way through a proxy: names in lower case, order kept, pseudo headers among them. */

/** A changeable list of headers. Costs O(headers) per access: requests have few. */
export class RequestHeaders {
  #entries: (readonly [name: string, value: string])[];

  constructor(entries: Iterable<readonly [name: string, value: string]>) {
    this.#entries = Array.from(entries, ([name, value]) => [name.toLowerCase(), value] as const);
  }

  /** All values of a name, in order. */
  values(name: string): readonly string[] {
    const wanted = lookupName(name);
    return this.#entries.flatMap(([own, value]) => (own === wanted ? [value] : []));
  }

  /** The values joined by commas; undefined when there is none. */
  get(name: string): string | undefined {
    const values = this.values(name);
    return values.length === 0 ? undefined : values.join(',');
  }

  /** Replaces all values by one, at the place of the first. */
  set(name: string, value: string): void {
    const wanted = lookupName(name);
    const at = this.#entries.findIndex(([own]) => own === wanted);
    if (at < 0) {
      this.#entries.push([wanted, value]);
      return;
    }
    this.#entries[at] = [wanted, value];
    this.#entries = this.#entries.filter(([own], i) => i <= at || own !== wanted);
  }

  append(name: string, value: string): void {
    this.#entries.push([lookupName(name), value]);
  }

  remove(name: string): void {
    const wanted = lookupName(name);
    this.removeWhere((own) => own === wanted);
  }

  removeWhere(isUnwanted: (name: string) => boolean): void {
    this.#entries = this.#entries.filter(([name]) => !isUnwanted(name));
  }

  /** All but the pseudo headers. */
  regular(): readonly (readonly [name: string, value: string])[] {
    return this.#entries.filter(([name]) => !name.startsWith(':'));
  }

  get path(): string {
    return this.get(':path') ?? '';
  }

  get authority(): string {
    return this.get(':authority') ?? '';
  }

  get method(): string {
    return this.get(':method') ?? '';
  }
}

/** Envoy keeps Host and `:authority` as one. */
function lookupName(name: string): string {
  const lower = name.toLowerCase();
  return lower === 'host' ? ':authority' : lower;
}
