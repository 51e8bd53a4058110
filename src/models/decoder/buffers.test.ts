import { expect, test } from 'vitest';
import { Buffers } from './buffers.ts';

test('what was given back serves the next of like size, the smallest that fits first', () => {
  const buffers = new Buffers();
  const [small, large] = [buffers.take(100), buffers.take(150)];
  buffers.give(large);
  buffers.give(small.subarray(0, 10)); // a part stands for the whole
  const again = buffers.take(90);
  expect(again.buffer).toBe(small.buffer);
  expect(again.length).toBe(90);
  expect(buffers.take(90).buffer).toBe(large.buffer);
  expect(buffers.take(90).buffer).not.toBe(large.buffer);
});

test('what is more than twice as long is left for others, and little lies free', () => {
  const buffers = new Buffers();
  const first = buffers.take(100);
  buffers.give(first);
  expect(buffers.take(49).buffer).not.toBe(first.buffer);
  expect(buffers.take(50).buffer).toBe(first.buffer);
  buffers.give(first);
  buffers.give(new Float32Array(1 << 26)); // all that may lie free: the former goes
  expect(buffers.take(100).buffer).not.toBe(first.buffer);
});
