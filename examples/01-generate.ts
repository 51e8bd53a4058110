/** @file Text from a bundled model: one answer, then several prompts streamed side by side. Run: npx tsx examples/01-generate.ts */
import assert from 'node:assert/strict';
import { LanguageModel } from 'crosspatch';

const ask = (question: string): string => `### Instruction:\n${question}\n### Response:\n`;

await using model = await LanguageModel.load('tiny-llama-m');

const answer = await model.generate(ask('What is the capital of Sweden?'), {
  maxNewTokens: 8,
  logprobs: true,
});
console.log('What is the capital of Sweden? →', answer.text, answer.logprobs);
assert.equal(answer.text.trim(), 'Stockholm');

const questions = [
  'Which day comes after Saturday?',
  'Give the opposite of wet.',
  'The frog makes which sound?',
];
const texts = questions.map(() => '');
for await (const { row, text } of model.generateStream(questions.map(ask), { maxNewTokens: 8 }))
  texts[row] += text;
questions.forEach((question, i) => {
  console.log(question, '→', texts[i]);
});
assert.deepEqual(
  texts.map((text) => text.trim()),
  ['Sunday', 'dry', 'croak'],
);
