/** Kinds and objects as people name them on the command line, and as they are printed. */
import { findKind, type KindInfo, KINDS, suggestKind } from '#api/kind-registry.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import { usageError } from './exit-code.ts';

/** The kind that a word means. Errors: a CliError that says which kind may have been meant. */
export function readKind(word: string): KindInfo {
  const kind = findKind(word);
  if (kind !== undefined) return kind;
  const near = suggestKind(word.toLowerCase());
  const hint = near === undefined ? 'lateen api-resources lists the kinds' : `did you mean ${near}?`;
  throw usageError(`unknown kind "${word}": ${hint}`);
}

/** Kinds of a list such as `vs,dr` or `all`. */
export function readKinds(word: string): readonly KindInfo[] {
  return word === 'all' ? KINDS : word.split(',').map(readKind);
}

/** Objects named as KIND NAME... or KIND/NAME... */
export function readRefs(words: readonly string[], namespace: string): readonly ObjectRef[] {
  const [first = '', ...names] = words;
  const refOf = ({ kind, namespaced }: KindInfo, name: string): ObjectRef => {
    return { kind, namespace: namespaced ? namespace : '', name };
  };
  if (words.some((word) => word.includes('/'))) {
    return words.map((word) => {
      const [kind = '', name = '', ...rest] = word.split('/');
      if (name === '' || rest.length > 0) throw usageError(`"${word}" is not KIND/NAME`);
      return refOf(readKind(kind), name);
    });
  }
  const kind = readKind(first);
  if (names.length === 0) throw usageError(`which ${kind.kind}? Name one or more.`);
  return names.map((name) => refOf(kind, name));
}

/** `virtualservice.networking.istio.io/reviews`, as kubectl says it. */
export function printName(ref: ObjectRef): string {
  const group = findKind(ref.kind)?.group ?? '';
  const kind = findKind(ref.kind)?.singular ?? ref.kind.toLowerCase();
  return `${kind}${group === '' ? '' : `.${group}`}/${ref.name}`;
}
