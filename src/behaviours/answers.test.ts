import { expect, it } from 'vitest';
import { wholeAnswer } from './index.ts';

it('an answer that met the limit ends behind its last whole sentence or line', () => {
  expect(wholeAnswer('Paris. It is the capi', 'length')).toBe('Paris.');
  expect(wholeAnswer('He said "no." Then he', 'length')).toBe('He said "no."');
  expect(wholeAnswer('Two things:\n1. Bread\n2. Milk and', 'length')).toBe('Two things:\n1. Bread');
  expect(wholeAnswer('Yes! About 3.5 metres', 'length')).toBe('Yes!');
});

it('a number with its full stop is no sentence, and an answer without any end stays', () => {
  expect(wholeAnswer('1. a long first item that never', 'length')).toBe('1. a long first item that never');
  expect(wholeAnswer(' no end here ', 'length')).toBe('no end here');
});

it('an answer the model ended itself is only trimmed', () => {
  expect(wholeAnswer('\nParis. It is the capital', 'stop')).toBe('Paris. It is the capital');
});
