/** Lifetimes end in order, once, and all of them. */
import { deepStrictEqual, rejects, strictEqual, throws } from 'node:assert';
import { test } from 'node:test';
import { AsyncScope, Scope, toDisposable } from './disposable.ts';

function fails(message: string): Disposable {
  return toDisposable(() => {
    throw new Error(message);
  });
}

test('a scope disposes in reverse order, each member once', () => {
  const log: string[] = [];
  const scope = new Scope();
  const first = scope.add(toDisposable(() => log.push('first')));
  scope.add(toDisposable(() => log.push('second')));
  scope.add(first);
  scope[Symbol.dispose]();
  scope[Symbol.dispose]();
  deepStrictEqual([log, scope.isDisposed], [['second', 'first'], true]);
});

test('a member removed ends at once and not again', () => {
  const log: string[] = [];
  const scope = new Scope();
  const member = scope.add(toDisposable(() => log.push('member')));
  scope.remove(member);
  deepStrictEqual(log, ['member']);
  scope[Symbol.dispose]();
  deepStrictEqual(log, ['member']);
});

test('what is added to a disposed scope ends at once', () => {
  const log: string[] = [];
  const scope = new Scope();
  scope[Symbol.dispose]();
  scope.add(toDisposable(() => log.push('late')));
  deepStrictEqual(log, ['late']);
});

test('an error does not keep other members from ending', () => {
  const log: string[] = [];
  const scope = new Scope();
  scope.add(toDisposable(() => log.push('first')));
  scope.add(fails('a'));
  scope.add(fails('b'));
  throws(
    () => scope[Symbol.dispose](),
    (error: AggregateError) => {
      deepStrictEqual(error.errors.map(String), ['Error: b', 'Error: a']);
      return true;
    },
  );
  deepStrictEqual(log, ['first']);
});

test('a single error comes as it is', () => {
  const scope = new Scope();
  scope.add(fails('alone'));
  throws(() => scope[Symbol.dispose](), { name: 'Error', message: 'alone' });
});

test('using ends a scope with its block', () => {
  const log: string[] = [];
  {
    using scope = new Scope();
    scope.add(toDisposable(() => log.push('ended')));
    log.push('in block');
  }
  deepStrictEqual(log, ['in block', 'ended']);
});

test('an async scope waits for each member before the next', async () => {
  const log: string[] = [];
  const scope = new AsyncScope();
  scope.add(toDisposable(() => log.push('plain')));
  scope.add({
    async [Symbol.asyncDispose]() {
      log.push('slow begins');
      await new Promise((resolve) => setImmediate(resolve));
      log.push('slow ends');
    },
  });
  await Promise.all([scope[Symbol.asyncDispose](), scope[Symbol.asyncDispose]()]);
  deepStrictEqual(log, ['slow begins', 'slow ends', 'plain']);
});

test('an async scope collects errors and ends late members', async () => {
  const log: string[] = [];
  const scope = new AsyncScope();
  scope.add(toDisposable(() => log.push('first')));
  scope.add({ [Symbol.asyncDispose]: () => Promise.reject(new Error('async')) });
  await rejects(scope[Symbol.asyncDispose](), { message: 'async' });
  scope.add(toDisposable(() => log.push('late')));
  strictEqual(scope.isDisposed, true);
  deepStrictEqual(log, ['first', 'late']);
});
