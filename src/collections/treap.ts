/**
 * The tree under persistent-map.ts: pure functions on immutable nodes. In-order by key bytes, heap-ordered by the hash
 * of the key, which fixes the shape for a given set of keys. Depth is about 3 log2 n whatever keys users choose
 * (base/key-hash.ts), so recursion is safe. All functions share the subtrees that they do not change.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { keyHash } from '#base/key-hash.ts';

/** A tree; undefined is the empty one. */
export type Tree<V> = TreeNode<V> | undefined;

/** One entry. Children are written only while buildTree makes the node. */
export class TreeNode<V> {
  readonly key: string;
  readonly value: V;
  readonly priority: number;
  left: Tree<V>;
  right: Tree<V>;
  size: number;

  constructor(key: string, value: V, priority: number, left: Tree<V>, right: Tree<V>) {
    this.key = key;
    this.value = value;
    this.priority = priority;
    this.left = left;
    this.right = right;
    this.size = 1 + treeSize(left) + treeSize(right);
  }
}

/** In a tree of changes: the key is to be removed. */
export const REMOVED: unique symbol = Symbol('removed');

/** Number of entries. O(1). */
export function treeSize(tree: Tree<unknown>): number {
  return tree === undefined ? 0 : tree.size;
}

/** A tree of one entry. */
export function leaf<V>(key: string, value: V): TreeNode<V> {
  return new TreeNode<V>(key, value, keyHash(key), undefined, undefined);
}

/** The node of a key. O(log n). */
export function findNode<V>(tree: Tree<V>, key: string): Tree<V> {
  let node = tree;
  while (node !== undefined) {
    const order = compareBytes(key, node.key);
    if (order === 0) return node;
    node = order < 0 ? node.left : node.right;
  }
  return undefined;
}

/** True when `a` lies above `b` in any tree that holds both. */
export function isAbove(a: TreeNode<unknown>, b: TreeNode<unknown>): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  return compareBytes(a.key, b.key) < 0;
}

function withChildren<V>(node: TreeNode<V>, left: Tree<V>, right: Tree<V>): TreeNode<V> {
  if (left === node.left && right === node.right) return node;
  return new TreeNode(node.key, node.value, node.priority, left, right);
}

/** What lies before a key, at it, and behind it. */
export interface Split<V> {
  readonly before: Tree<V>;
  readonly at: Tree<V>;
  readonly after: Tree<V>;
}

const EMPTY_SPLIT: Split<never> = { before: undefined, at: undefined, after: undefined };

/** Takes a tree apart at a key. O(log n). */
export function splitTree<V>(tree: Tree<V>, key: string): Split<V> {
  if (tree === undefined) return EMPTY_SPLIT;
  const order = compareBytes(key, tree.key);
  if (order === 0) return { before: tree.left, at: tree, after: tree.right };
  if (order < 0) {
    const inner = splitTree(tree.left, key);
    return { before: inner.before, at: inner.at, after: withChildren(tree, inner.after, tree.right) };
  }
  const inner = splitTree(tree.right, key);
  return { before: withChildren(tree, tree.left, inner.before), at: inner.at, after: inner.after };
}

/** One tree of two, where every key of `before` is smaller than every key of `after`. */
export function joinTrees<V>(before: Tree<V>, after: Tree<V>): Tree<V> {
  if (before === undefined) return after;
  if (after === undefined) return before;
  if (isAbove(before, after)) return withChildren(before, before.left, joinTrees(before.right, after));
  return withChildren(after, joinTrees(before, after.left), after.right);
}

/** The tree with changes laid over it; entries whose value is identical stay the same nodes. O(m log(n/m)) for m changes. */
export function overlayTree<V>(tree: Tree<V>, changes: Tree<V | typeof REMOVED>): Tree<V> {
  if (changes === undefined) return tree;
  if (tree !== undefined && isAbove(tree, changes)) {
    const split = splitTree(changes, tree.key);
    return withChildren(tree, overlayTree(tree.left, split.before), overlayTree(tree.right, split.after));
  }
  const split = splitTree(tree, changes.key);
  const left = overlayTree(split.before, changes.left);
  const right = overlayTree(split.after, changes.right);
  if (changes.value === REMOVED) return joinTrees(left, right);
  const node = split.at?.value === changes.value ? split.at : (changes as TreeNode<V>);
  return withChildren(node, left, right);
}

/** A tree of entries that are sorted by key and have no key twice. O(n): each node is pushed and popped once. */
export function buildTree<V>(sorted: readonly (readonly [string, V])[]): Tree<V> {
  const rightSpine: TreeNode<V>[] = [];
  for (const [key, value] of sorted) {
    const node = leaf(key, value);
    let below: Tree<V>;
    for (let last = rightSpine.at(-1); last !== undefined && isAbove(node, last); last = rightSpine.at(-1)) {
      below = closeTop(rightSpine);
    }
    node.left = below;
    if (rightSpine.length > 0) (rightSpine.at(-1) as TreeNode<V>).right = node;
    rightSpine.push(node);
  }
  let root: Tree<V>;
  while (rightSpine.length > 0) root = closeTop(rightSpine);
  return root;
}

/** Takes the lowest node off the spine; nothing will be put under it any more, so its size is known. */
function closeTop<V>(rightSpine: TreeNode<V>[]): Tree<V> {
  const node = rightSpine.pop();
  if (node !== undefined) node.size = 1 + treeSize(node.left) + treeSize(node.right);
  return node;
}

/** Iterates nodes in key order and hands out what `pick` takes from each. */
export class TreeIterator<V, T> implements IterableIterator<T> {
  readonly #path: TreeNode<V>[] = [];
  readonly #pick: (node: TreeNode<V>) => T;

  constructor(tree: Tree<V>, pick: (node: TreeNode<V>) => T) {
    this.#pick = pick;
    this.#descend(tree);
  }

  next(): IteratorResult<T, undefined> {
    const node = this.#path.pop();
    if (node === undefined) return { done: true, value: undefined };
    this.#descend(node.right);
    return { done: false, value: this.#pick(node) };
  }

  [Symbol.iterator](): this {
    return this;
  }

  #descend(tree: Tree<V>): void {
    for (let node = tree; node !== undefined; node = node.left) this.#path.push(node);
  }
}
