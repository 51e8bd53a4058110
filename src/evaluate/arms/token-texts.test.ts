import { expect, it } from 'vitest';
import { tokenTexts } from './samples.ts';

it('cuts a prompt at its tokens’ ends, and loses no character: white space goes with the token behind it', () => {
  const prompt = 'Odd or even? |dev|\n';
  const offsets: [number, number][] = [
    [0, 0],
    [0, 3],
    [4, 6],
    [7, 11],
    [11, 12],
    [13, 14],
    [14, 17],
    [17, 18],
  ];
  expect(tokenTexts({ prompt, offsets })).toEqual(['', 'Odd', ' or', ' even', '?', ' |', 'dev', '|\n']);
  expect(tokenTexts({ prompt: '', offsets: [] })).toEqual([]);
});
