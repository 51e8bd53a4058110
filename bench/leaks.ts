/**
 * @file Does memory stay level? 200 generations, then 50 times load and dispose, with the resident size after each part.
 * Run: npx tsx --expose-gc bench/leaks.ts [model]. Exits with 1 when the second half of a part grew by more than 3 %.
 */
import { LanguageModel } from 'crosspatch';

const path = process.argv[2] ?? 'tiny-llama-m';
const prompt = '### Instruction:\nWhat is the capital of Sweden?\n### Response:\n';

function residentMegabytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss / 1e6;
}

/** Run `body` n times; growth of the resident size from the middle to the end, as a share. */
async function growth(name: string, n: number, body: () => Promise<unknown>): Promise<number> {
  let middle = 0;
  for (let i = 1; i <= n; i++) {
    await body();
    if (i === n / 2) middle = residentMegabytes();
  }
  const end = residentMegabytes();
  console.log(`${name}: ${middle.toFixed(1)} MB half-way, ${end.toFixed(1)} MB after ${n}`);
  return end / middle - 1;
}

const generating = await (async () => {
  await using model = await LanguageModel.load(path);
  return await growth('generate', 200, () => model.generate(prompt, { maxNewTokens: 8 }));
})();
const loading = await growth('load and dispose', 50, async () => {
  await using model = await LanguageModel.load(path);
  await model.generate(prompt, { maxNewTokens: 1 });
});
process.exitCode = generating > 0.03 || loading > 0.03 ? 1 : 0;
