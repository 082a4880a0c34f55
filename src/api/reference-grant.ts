/** ReferenceGrant of Gateway API: which objects of other namespaces may refer to objects of this one. */
import type { Findings } from './findings.ts';
import type { JsonObject } from './json-scalar.ts';
import { field, list, object, optional, text } from './shape-decode.ts';

/** A group of '' is the core one; a name of '' means every object of the kind. */
export interface ReferenceGrantSpec {
  readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[];
  readonly to: readonly { readonly group: string; readonly kind: string; readonly name: string }[];
}

const readSpec = object<ReferenceGrantSpec>(
  {
    from: field(
      list(
        object(
          { group: field(text, ''), kind: field(text, ''), namespace: field(text, '') },
          { unknown: 'refuse' },
        ),
      ),
      [],
    ),
    to: field(
      list(
        object(
          { group: field(text, ''), kind: field(text, ''), name: field(text, '') },
          { unknown: 'refuse' },
        ),
      ),
      [],
    ),
  },
  { unknown: 'refuse' },
);

const readRoot = object<{ readonly spec?: ReferenceGrantSpec }>(
  { spec: optional(readSpec) },
  { unknown: 'refuse', accept: ['apiVersion', 'kind', 'metadata', 'status'] },
);

/** Reads `spec`; a grant without one grants nothing. */
export function decodeReferenceGrantSpec(
  root: JsonObject,
  findings: Findings,
): ReferenceGrantSpec | undefined {
  const read = readRoot(root, '', findings);
  return read === undefined ? undefined : (read.spec ?? { from: [], to: [] });
}
