/** @file A training step of 8 × 64 tokens, in full and by LoRA, as `training_torch.py` measures PyTorch's. Prints JSON. Usage: training.ts MODEL [TURNS] */
import { Rng } from '../src/base/index.ts';
import { openCheckpoint } from '../src/models/index.ts';
import {
  AdamW,
  globalNorm,
  initAdapters,
  isFactor,
  loadParameters,
  type Parameters,
  padBatch,
  TrainableModel,
  trainRow,
} from '../src/train/index.ts';

const [path, turns = '5'] = process.argv.slice(2);
if (path === undefined) throw new Error('wanted a model: npx tsx bench/training.ts MODEL [TURNS]');
const [ROWS, TOKENS, LORA] = [8, 64, { rank: 16, alpha: 32 }] as const;
const rng = new Rng(0);
const { config, parameters } = await loadParameters(await openCheckpoint(path));
const row = (): number[] => Array.from({ length: TOKENS }, () => rng.int(config.vocabSize));
const batch = padBatch(Array.from({ length: ROWS }, () => trainRow([], row())));

/** Medians after one turn that warms up. */
async function measure(model: TrainableModel, all: Parameters) {
  const optimizer = new AdamW(model.gradientsByName);
  const [wall, processor]: number[][] = [[], []];
  for (let turn = 0; turn <= Number(turns); turn++) {
    const [started, used] = [performance.now(), process.cpuUsage()];
    await model.gradients(batch);
    const scale = Math.min(1, 1 / globalNorm(model.gradientsByName));
    optimizer.update(all, model.gradientsByName, { step: turn + 1, rate: () => 1e-6, scale });
    const { user, system } = process.cpuUsage(used);
    if (turn === 0) continue;
    (wall as number[]).push((performance.now() - started) / 1e3);
    (processor as number[]).push((user + system) / 1e6);
  }
  const median = (x: readonly number[] = []): number =>
    x.toSorted((a, b) => a - b)[x.length >> 1] ?? Number.NaN;
  const seconds = median(wall);
  return { seconds, processor_seconds: median(processor), tokens_per_second: (ROWS * TOKENS) / seconds };
}

const full = await (async () => {
  await using model = await TrainableModel.open(config, parameters);
  return measure(model, parameters);
})();
const adapted: Parameters = new Map([...parameters, ...initAdapters(config, LORA, rng)]);
await using model = await TrainableModel.open(config, adapted, { lora: LORA, trains: isFactor });
console.log(JSON.stringify({ full, lora: await measure(model, adapted) }, null, 2));
