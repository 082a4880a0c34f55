/** Lines as Istio writes them, and nothing that a client sends can forge one. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { TestClock } from './clock.ts';
import { createLogger, LogLevels, silentLogger } from './logger.ts';
import { Secret } from './secret.ts';

const NOW = Date.parse('2026-01-02T03:04:05.678Z');

function open(format: 'text' | 'json', levels = new LogLevels()) {
  const lines: string[] = [];
  const log = createLogger(
    { clock: new TestClock(NOW), levels, format, sink: (line) => lines.push(line) },
    'ads',
  );
  return { log, lines };
}

test('a text line has time, level, scope and message with its fields', () => {
  const { log, lines } = open('text');
  log.info('Push done', { proxies: 3, reason: 'two words', empty: '', list: [1, 2n] });
  log.scope('ca').warn('no root');
  deepStrictEqual(lines, [
    '2026-01-02T03:04:05.678000Z\tinfo\tads\tPush done proxies=3 reason="two words" empty="" list="[1,\\"2\\"]"',
    '2026-01-02T03:04:05.678000Z\twarn\tca\tno root',
  ]);
});

test('a JSON line keeps its own keys', () => {
  const { log, lines } = open('json');
  log.error('failed', { msg: 'mine', n: 1, error: new Error('outer', { cause: new Error('inner') }) });
  deepStrictEqual(JSON.parse(lines[0] ?? ''), {
    level: 'error',
    time: '2026-01-02T03:04:05.678000Z',
    scope: 'ads',
    msg: 'failed',
    'field.msg': 'mine',
    n: 1,
    error: 'outer: inner',
  });
});

test('control characters, line separators and direction marks are escaped in both forms', () => {
  const nasty = 'a\nb\tc\u001b[31m\u0085\u2028\u202e\u{1f600}';
  const { log, lines } = open('text');
  log.info(nasty, { [nasty]: nasty });
  strictEqual(/[\p{Cc}\u2028\u202e]/u.test((lines[0] ?? '').replaceAll('\t', '')), false);
  strictEqual(lines[0]?.split('\t').length, 4);
  strictEqual(lines[0]?.startsWith('2026-01-02T03:04:05.678000Z\tinfo\tads\ta\\u000ab\\u0009c'), true);
  const json = open('json');
  json.log.info(nasty);
  strictEqual((JSON.parse(json.lines[0] ?? '') as { msg: string }).msg, nasty);
  strictEqual(/[\p{Cc}\u2028\u202e]/u.test(json.lines[0] ?? ''), false);
});

test('secrets are redacted and odd values never throw', () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const fields = {
    token: new Secret('s3cret'),
    nested: { token: new Secret('s3cret') },
    cycle,
    none: undefined,
    nil: null,
  };
  for (const format of ['text', 'json'] as const) {
    const { log, lines } = open(format);
    log.info('m', fields);
    strictEqual(lines[0]?.includes('s3cret'), false);
    strictEqual(lines[0]?.includes('[object Object]'), true);
  }
});

test('levels by scope decide, and can change while running', () => {
  const levels = new LogLevels();
  strictEqual(levels.apply('default:warn,ads:debug'), undefined);
  const { log, lines } = open('text', levels);
  log.debug('1');
  log.scope('ca').info('2');
  log.scope('ca').error('3');
  strictEqual(levels.apply('none'), undefined);
  log.scope('ca').error('4');
  levels.set('ads', 'error');
  log.debug('5');
  deepStrictEqual([lines.map((line) => line.split('\t')[3]), log.isEnabled('warn')], [['1', '3'], false]);
});

test('a text that names no level changes nothing', () => {
  const levels = new LogLevels();
  strictEqual(
    levels.apply('ads:debug,ca:loud'),
    '"loud" is no log level; one of none, error, warn, info, debug is',
  );
  strictEqual(levels.get('ads'), 'info');
});

test('a silent logger is silent in every scope', () => {
  const log = silentLogger();
  log.scope('x').error('nobody hears this');
  strictEqual(log.isEnabled('error'), false);
});
