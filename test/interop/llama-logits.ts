/**
 * @file llama.cpp with our files beside us: the next token's log-probabilities of a GGUF that we read ourselves, plain and with a control vector
 * that `export vector` wrote, over the whole vocabulary; then greedy texts.
 *
 *     LLAMA_SERVER=path/to/llama-server npx tsx test/interop/llama-logits.ts MODEL.gguf VECTOR.gguf PROMPTS.jsonl
 *
 * Exits with 1 where the correlation of what the vector changes is below 0.99 on a prompt, or a best token differs that leads by more than 0.05.
 */
import { readFile } from 'node:fs/promises';
import { readSteering } from '../../src/cli/steer.ts';
import { applyIntervention } from '../../src/interventions/index.ts';
import { type FwdHook, LanguageModel } from '../../src/models/index.ts';
import { documentResolvers, OtherModels } from '../../src/pipeline/index.ts';
import { pearson } from '../../src/stats/correlation.ts';
import { type LlamaServer, startLlamaServer } from './llama-server.helper.ts';

const TOKENS = 32;
const [path = '', vector = '', file = ''] = process.argv.slice(2);
const prompts = (await readFile(file, 'utf8'))
  .trim()
  .split('\n')
  .map((line) => (JSON.parse(line) as { text: string }).text);

const { document, folder } = await readSteering(vector);
await using model = await LanguageModel.load(path);
const size = model.decoder.tokens;
await using others = new OtherModels((name) => LanguageModel.load(name));
const resolvers = documentResolvers(folder, others.open);

/** Ours: log-probabilities of what comes after a prompt, plain and steered, and what is said greedily. */
async function ours(text: string) {
  const steered = await applyIntervention(model, document, [text], resolvers);
  const ids = [...(steered.ids[0] ?? [])];
  const last = async (hooks: readonly FwdHook[]): Promise<Float64Array> => {
    const { logits } = await model.forward(ids, hooks);
    return logSoftmax(logits.data.slice(-(logits.shape[2] as number)).slice(0, size));
  };
  const [completion] = await model.generate([ids], { maxNewTokens: TOKENS, fwdHooks: steered.fwdHooks });
  return { ids, plain: await last([]), steered: await last(steered.fwdHooks), said: completion?.text };
}

interface Answer {
  readonly content: string;
  readonly completion_probabilities?: readonly {
    readonly top_logprobs: readonly { readonly id: number; readonly logprob: number }[];
  }[];
}

async function theirs(server: LlamaServer, ids: readonly number[]): Promise<Float64Array> {
  const body = { prompt: ids, n_predict: 1, n_probs: size, temperature: 0, cache_prompt: false };
  const { completion_probabilities: [first] = [] } = (await server.post('/completion', body)) as Answer;
  const out = new Float64Array(size).fill(Number.NaN);
  for (const { id, logprob } of first?.top_logprobs ?? []) out[id] = logprob;
  return out;
}

async function text(server: LlamaServer, ids: readonly number[]): Promise<string> {
  const body = { prompt: ids, n_predict: TOKENS, temperature: 0, cache_prompt: false };
  return ((await server.post('/completion', body)) as Answer).content;
}

const mine = [];
for (const prompt of prompts) mine.push(await ours(prompt));
const plain: Float64Array[] = [];
{
  await using server = await startLlamaServer(path);
  for (const { ids } of mine) plain.push(await theirs(server, ids));
}
let failed = 0;
await using server = await startLlamaServer(path, ['--control-vector', vector]);
for (const [i, own] of mine.entries()) {
  const steered = await theirs(server, own.ids);
  const before = plain[i] as Float64Array;
  const known = [...steered.keys()].filter(
    (id) => Number.isFinite(steered[id]) && Number.isFinite(before[id]),
  );
  const pick = (values: Float64Array): number[] => known.map((id) => values[id] as number);
  const shift = (a: Float64Array, b: Float64Array): number[] =>
    known.map((id) => (b[id] ?? 0) - (a[id] ?? 0));
  const moved = pearson(shift(own.plain, own.steered), shift(before, steered)).value;
  const says = await text(server, own.ids);
  const row = {
    tokens: known.length,
    plain: pearson(pick(own.plain), pick(before)).value,
    steered: pearson(pick(own.steered), pick(steered)).value,
    moved,
    largest_move: shift(own.plain, own.steered).reduce((most, x) => Math.max(most, Math.abs(x)), 0),
    same_best: best(own.steered) === best(steered) || lead(own.steered) < 0.05,
    same_text: says === own.said,
    says,
  };
  if (!(moved >= 0.99) || !row.same_best) failed++;
  console.log(JSON.stringify(row));
}
process.exitCode = failed > 0 ? 1 : 0;

function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = values.reduce((total, x) => total + Math.exp(x - most), 0);
  return values.map((x) => x - most - Math.log(sum));
}

function best(values: Float64Array): number {
  return values.indexOf(values.reduce((a, b) => Math.max(a, b)));
}

function lead(values: Float64Array): number {
  const [first = 0, second = 0] = [...values].sort((a, b) => b - a);
  return first - second;
}
