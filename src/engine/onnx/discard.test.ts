import { expect, test } from 'vitest';
import { discard } from './discard.ts';

test('a discarded buffer is detached, and its memory is free before anything is collected', () => {
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 20; i++) {
    const view = new Float32Array(1 << 20);
    discard(view.buffer);
    expect(view.length).toBe(0);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 22);
});
