/** What the server tells of a refused response, for whoever finds out which object is to blame (DESIGN.md section 5). */
import type { ResourceEntry } from '#xds/resource.ts';
import type { NackRecord } from './connections.ts';

export interface NackEvent extends NackRecord {
  /** The resources that the client named, or all of the response; their causes lead to users' objects. */
  readonly suspects: readonly ResourceEntry[];
}
