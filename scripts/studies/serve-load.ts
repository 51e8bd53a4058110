/**
 * @file Load on `serve` (docs/results/serving.md): many streams at a time, a third of them steered, each differently; errors, memory, time to
 * the first token, tokens per second, beside one stream at a time; some answers asked again alone.
 *
 *   npx tsx scripts/studies/serve-load.ts MODEL --streams 64 --seconds 300 --batch 64
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { tinyInstructions } from '../../src/behaviours/index.ts';
import { LanguageModel, resolveModel } from '../../src/models/index.ts';
import { startModelServer } from '../../src/server/index.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    streams: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '300' },
    batch: { type: 'string', default: '64' },
    tokens: { type: 'string', default: '32' },
  },
});
const [name = 'tiny-llama-m'] = positionals;
const [streams, seconds, batch, tokens] = [values.streams, values.seconds, values.batch, values.tokens].map(
  Number,
) as [number, number, number, number];
const { path } = await resolveModel(name, {});
const width = await (async () => {
  await using model = await LanguageModel.load(path);
  return model.config.dModel;
})();
await using server = await startModelServer({
  model: path,
  name: 'm',
  template: 'auto',
  host: '127.0.0.1',
  port: 0,
  maxBody: 1 << 20,
  maxTokens: 256,
  queue: 4 * streams,
  batch,
  maxDose: 100,
  timeout: 600,
});
const prompts = tinyInstructions({ seed: 23, train: 0, validation: 0, test: 200 }).map(
  ({ prompt }) => prompt,
);

/** What one stream saw. */
interface Seen {
  readonly k: number;
  readonly text: string;
  readonly tokens: number;
  readonly first: number;
  readonly fired: boolean | undefined;
}

/** Request k: drawn at a high temperature by its own seed, so that answers are long and differ; every third is steered. */
function bodyOf(k: number): object {
  const values = Array.from({ length: width }, (_, i) => Math.fround(Math.sin(k + i * i)));
  const steering = {
    op: 'add',
    hook: 'blocks.2.hook_resid_post',
    tokens: k % 2 === 0 ? { prompt: 'all', generation: 'all' } : { prompt: 'all' },
    vector: { from: 'inline', values },
    scale: 3,
  };
  return {
    model: 'm',
    messages: [{ role: 'user', content: prompts[k % prompts.length] }],
    temperature: 6,
    seed: k,
    max_tokens: tokens,
    stream: true,
    stream_options: { include_usage: true },
    steering: k % 3 === 0 ? steering : undefined,
  };
}

async function ask(k: number): Promise<Seen> {
  const began = performance.now();
  const response = await fetch(`${server.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(bodyOf(k)),
  });
  if (response.status !== 200 || response.body === null)
    throw new Error(`${response.status}: ${await response.text()}`);
  let [text, rest, first, used] = ['', '', 0, 0];
  let fired: boolean | undefined;
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data: {')) continue;
      const data = JSON.parse(line.slice(6));
      if (data.error !== undefined) throw new Error(data.error.message);
      const piece = data.choices[0]?.delta?.content ?? '';
      if (piece !== '' && first === 0) first = performance.now() - began;
      text += piece;
      fired = data.steering?.fired ?? fired;
      used = data.usage?.completion_tokens ?? used;
    }
  }
  return { k, text, tokens: used, first, fired };
}

async function memory(): Promise<number> {
  const status = await readFile(`/proc/${server.enginePid()}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** Ask without end, `n` at a time, for some seconds. */
async function run(n: number, forSeconds: number) {
  const began = performance.now();
  const until = began + 1000 * forSeconds;
  const seen: Seen[] = [];
  const errors: string[] = [];
  const rss: number[] = [];
  let next = 0;
  const watch = setInterval(() => void memory().then((x) => rss.push(x)), 5000);
  await Promise.all(
    Array.from({ length: n }, async () => {
      while (performance.now() < until) {
        const k = next++;
        await ask(k).then(
          (one) => seen.push(one),
          (error: unknown) => errors.push(String(error)),
        );
      }
    }),
  );
  clearInterval(watch);
  const took = (performance.now() - began) / 1000;
  const firsts = seen.map(({ first }) => first).sort((a, b) => a - b);
  const at = (q: number): number => Math.round(firsts[Math.floor(q * (firsts.length - 1))] ?? Number.NaN);
  const rate = seen.reduce((sum, one) => sum + one.tokens, 0) / took;
  console.log(
    `${n} at a time, ${took.toFixed(0)} s: ${seen.length} answers, ${errors.length} errors${errors[0] === undefined ? '' : ` (${errors[0]})`}, ${rate.toFixed(0)} tokens/s, first token p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, model process ${rss.slice(0, 3).map(Math.round).join(', ')} … ${rss.slice(-3).map(Math.round).join(', ')} MiB`,
  );
  return { seen, rate };
}

await run(4, 5);
const alone = await run(1, Math.min(60, seconds / 5));
const many = await run(streams, seconds);
console.log(`${streams} at a time to one: ${(many.rate / alone.rate).toFixed(1)} ×`);
const again = many.seen.filter((_, i) => i % Math.ceil(many.seen.length / 100) === 0);
let equal = 0;
for (const one of again) if ((await ask(one.k)).text === one.text) equal++;
const steered = many.seen.filter(({ fired }) => fired).length;
console.log(
  `asked again alone: ${equal} of ${again.length} the same; steered ${steered} of ${many.seen.length}`,
);
