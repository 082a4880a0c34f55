import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { expandVariables } from './variable-expansion.ts';

const values = new Map([
  ['APP_ADDRESS', '127.64.0.6'],
  ['NESTED', '$(APP_ADDRESS)'],
]);

const cases: readonly (readonly [string, string, string])[] = [
  ['a known name is replaced', '--host=$(APP_ADDRESS):$(APP_ADDRESS)', '--host=127.64.0.6:127.64.0.6'],
  ['an unknown name stays', '$(OTHER)', '$(OTHER)'],
  ['two dollars stand for one, and nothing is replaced', '$$(APP_ADDRESS)', '$(APP_ADDRESS)'],
  ['a value is not expanded again', '$(NESTED)', '$(APP_ADDRESS)'],
  ['a dollar alone stays', 'cost: $5 $(', 'cost: $5 $('],
];

for (const [name, text, expanded] of cases) {
  test(`in a command, ${name}`, () => strictEqual(expandVariables(text, values), expanded));
}
