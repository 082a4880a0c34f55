/** A bag is a set, whatever form it has. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { addToBag, type Bag, bagMembers, removeFromBag } from './bag.ts';

interface Member {
  readonly id: number;
}

const MEMBERS: readonly Member[] = Array.from({ length: 40 }, (_, id) => ({ id }));

test('a bag holds what was added and not removed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.constantFrom(...MEMBERS)), { maxLength: 120 }),
      (changes) => {
        let bag: Bag<Member>;
        const oracle = new Set<Member>();
        for (const [isAdded, member] of changes) {
          if (!isAdded) bag = removeFromBag(bag, member);
          else if (!oracle.has(member)) bag = addToBag(bag, member);
          if (isAdded) oracle.add(member);
          else oracle.delete(member);
          deepStrictEqual(new Set(bagMembers(bag)), oracle);
          strictEqual(bag === undefined, oracle.size === 0);
        }
      },
    ),
  );
});

test('one member is stored as itself', () => {
  const [first, second] = MEMBERS as [Member, Member];
  const one = addToBag(undefined, first);
  strictEqual(one, first);
  strictEqual(removeFromBag(addToBag(one, second), first), second);
});

test('many members come and go until none is left', () => {
  let bag: Bag<Member>;
  for (const member of MEMBERS) bag = addToBag(bag, member);
  strictEqual([...bagMembers(bag)].length, MEMBERS.length);
  for (const member of MEMBERS) bag = removeFromBag(bag, member);
  strictEqual(bag, undefined);
});
