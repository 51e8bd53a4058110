import { expect, test } from 'vitest';
import { InputError, parseJson, showText, showValue } from './index.ts';

test('JSON with a byte-order mark, as text and as bytes', () => {
  expect(parseJson('\ufeff{"a":1}', 'f')).toEqual({ a: 1 });
  expect(parseJson(Buffer.from('\ufeff{"a":1}'), 'f')).toEqual({ a: 1 });
});

test.each([
  ['', /f: wanted JSON, got an empty file/],
  ['{\n "a": 1', /does not parse at line 2, column 8/],
  ['{"a":{"b":1,"b":2}}', /"b" twice/],
  ['{"a":1,"\\u0061":2}', /"a" twice/],
  ['['.repeat(200) + ']'.repeat(200), /at most 128 levels.*line 1, column 129/],
  ['['.repeat(5_000_000), /at most 128 levels/],
])('refused with its place: %#', (text, message) => {
  expect(() => parseJson(text, 'f')).toThrow(message);
  expect(() => parseJson(text, 'f')).toThrow(InputError);
});

test('keys may come twice where that is asked for', () => {
  expect(parseJson('{"a":1,"a":2}', 'f', { repeatedKeys: true })).toEqual({ a: 2 });
});

test('brackets and quotes inside strings do not count', () => {
  const text = JSON.stringify({ a: '[{'.repeat(500), 'b"': ['\\"'], c: [{ a: 1 }, { a: 2 }] });
  expect(parseJson(text, 'f')).toEqual(JSON.parse(text));
});

test('bytes that are not UTF-8 are refused', () => {
  expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22), 'f')).toThrow(
    /^f line 1, byte 2: wanted UTF-8 text, got the byte 0xff/,
  );
});

test('a value is shown short, whatever it is', () => {
  expect(showValue({ a: [1, 'x', null, 2n, undefined] })).toBe('{"a":[1,"x",null,2,nothing]}');
  expect(showValue('x'.repeat(1e6))).toHaveLength(80);
  expect(showValue(new Float32Array(1e6))).toHaveLength(80);
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  expect(showValue(loop)).toBe('{"self":{"self":{"self":{"self":…}}}}');
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  expect(showValue(deep)).toBe('[[[[…]]]]');
});

test('nothing that a terminal would act on is shown', () => {
  expect(showText('a\u001b[31m\u009b\u202eb\nc')).toBe('a\\u001b[31m\\u009b\\u202eb c');
  expect(showValue({ '\u001b': '\u009b' })).toBe('{"\\u001b":"\\u009b"}');
});
