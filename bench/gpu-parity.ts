/**
 * @file `npx tsx bench/gpu-parity.ts MODEL PROVIDER`: logits of a text on a provider against those of the processor, at every position, and greedy
 * completions. Prints JSON: positions, largest difference as a share of the largest logit, positions whose likeliest token differs, completions that differ.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PROVIDERS } from '../src/engine/index.ts';
import { LanguageModel } from '../src/models/index.ts';

const [reference, wanted] = process.argv.slice(2);
const provider = PROVIDERS.find((name) => name === wanted);
if (reference === undefined || provider === undefined)
  throw new Error(`wanted MODEL and one of ${PROVIDERS.join(', ')}, got ${process.argv.slice(2).join(' ')}`);

/** Real prose: the project's own method page. */
const TEXT = readFileSync(fileURLToPath(new URL('../docs/concepts/method.md', import.meta.url)), 'utf8');
const [PIECES, PIECE, NEW] = [4, 128, 40];

interface Found {
  readonly logits: Float32Array[];
  readonly texts: string[];
}

async function on(name: (typeof PROVIDERS)[number]): Promise<Found> {
  await using model = await LanguageModel.load(reference as string, { provider: name });
  const ids = model.tokenizer.encodeIds(TEXT, { addSpecialTokens: 'auto' });
  const found: Found = { logits: [], texts: [] };
  for (let k = 0; k < PIECES; k++) {
    const piece = ids.slice(k * PIECE, (k + 1) * PIECE);
    found.logits.push((await model.forward(piece)).logits.data.slice());
    found.texts.push((await model.generate(piece, { maxNewTokens: NEW })).text);
  }
  return found;
}

const [here, there] = [await on('cpu'), await on(provider)];
let [difference, largest] = [0, 0];
for (const [k, row] of here.logits.entries())
  row.forEach((value, i) => {
    difference = Math.max(difference, Math.abs(value - ((there.logits[k] as Float32Array)[i] as number)));
    largest = Math.max(largest, Math.abs(value));
  });
const completions = here.texts.filter((text, k) => text !== there.texts[k]).length;
process.stdout.write(
  `${JSON.stringify({ provider, positions: PIECES * PIECE, difference: difference / largest, completions_that_differ: completions })}\n`,
);
