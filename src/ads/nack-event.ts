/** What the server tells of a refused response, for whoever finds out which object is to blame (DESIGN.md section 5). */
import type { ResourceEntry } from '#xds/resource.ts';
import type { NackRecord } from './connections.ts';

export interface NackEvent extends NackRecord {
  /** The resources that the client named, or all of the response; their causes lead to users' objects. */
  readonly suspects: readonly ResourceEntry[];
}

/** True when a refusal's text contains the name as a word of its own: `80` is not mentioned by `0.0.0.0_80`. */
export function mentions(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at >= 0 && name !== ''; at = text.indexOf(name, at + 1)) {
    if (!isNamePart(text[at - 1]) && !isNamePart(text[at + name.length])) return true;
  }
  return false;
}

function isNamePart(character: string | undefined): boolean {
  return character !== undefined && /[\w|.~/-]/.test(character);
}
