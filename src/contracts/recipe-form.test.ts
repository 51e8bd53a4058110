import { expect, it } from 'vitest';
import { InputError } from '../base/index.ts';
import { setRecipeKey } from './recipe-form.ts';

const set = (text: string, path: string, value?: string | number): string =>
  setRecipeKey({ file: 'r.yaml', text }, path, value);

it('changes one key of a recipe and leaves the comments and the order of the others', () => {
  const text = 'name: x # mine\nsweep: { prompts: 3 }\n';
  expect(set(text, 'seed', 4)).toBe('name: x # mine\nsweep: { prompts: 3 }\nseed: 4\n');
  expect(set(text, 'sweep.prompts', 5)).toContain('{ prompts: 5 }');
  expect(set(text, 'finetune.steps', 6)).toMatch(/finetune:\s+(?:\{ )?steps: 6/);
});

it('takes a key away, and leaves a text as it is that does not have it, nor the section above it', () => {
  const text = 'name: x\nsweep: { prompts: 3 }\n';
  expect(set(text, 'name')).toBe('sweep: { prompts: 3 }\n');
  expect(set(text, 'seed')).toBe(text);
  expect(set(text, 'finetune.steps')).toBe(text);
  expect(set('', 'finetune.steps')).toBe('');
});

it('refuses a key below something that holds no keys', () => {
  expect(() => set('finetune: false\n', 'finetune.steps', 3)).toThrow(InputError);
  expect(() => set('finetune:\n', 'finetune.steps', 3)).toThrow(/finetune/);
});
