/** @file Pretrain one model of the bundled family; stopped at any moment, it goes on from its last checkpoint. */
import { join } from 'node:path';
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { hashJson, type ProgressSink, Rng } from '../../src/base/index.ts';
import { pretrainingRow } from '../../src/behaviours/index.ts';
import {
  EMBED,
  openCheckpoint,
  parseModelConfig,
  type Tokenizer,
  tokenizerFromFiles,
} from '../../src/models/index.ts';
import {
  type Batch,
  initParameters,
  loadParameters,
  padBatch,
  saveModel,
  type TrainRow,
  train,
  trainRow,
} from '../../src/train/index.ts';
import { configJson, type TinySpec, tokenizerFiles } from './specs.ts';

/** Rows a batch; batches are cut from pools of {@link POOL} batches sorted by length, so that little is padding. */
const ROWS = 64;
const POOL = 32;
/** Folded into the embedding table: the Llama layout has no embedding scale. */
const embedScale = (dModel: number): number => 0.5 * Math.sqrt(dModel);

export async function pretrain(
  spec: TinySpec,
  options: { assets: string; cache: string; threads: number; onProgress: ProgressSink },
): Promise<void> {
  const files = tokenizerFiles(spec.architecture);
  const tokenizer = tokenizerFromFiles({
    tokenizerJson: JSON.parse(files['tokenizer.json'] as string),
    tokenizerConfig: JSON.parse(files['tokenizer_config.json'] as string),
  });
  const raw = configJson(spec, tokenizer.vocabSize);
  const config = parseModelConfig(raw, spec.name);
  const scale = embedScale(spec.dModel);
  const parameters = initParameters(config, new Rng(spec.seed), { embedding: 0.05 * scale });
  if (spec.embeddingOf !== undefined) {
    const kin = await loadParameters(await openCheckpoint(join(options.assets, spec.embeddingOf)));
    parameters.set(EMBED, project(kin.parameters.get(EMBED) as Float32Array, kin.config.dModel, spec.dModel));
  }
  await train(config, parameters, {
    stage: spec.name,
    steps: spec.steps,
    schedule: { kind: 'cosine', peak: spec.learningRate, warmup: 50, final: 0.02 },
    rate: (name) => (name !== EMBED ? 1 : spec.embeddingOf === undefined ? scale : 0),
    batches: batches(tokenizer, spec.seed),
    threads: options.threads,
    checkpoint: {
      folder: join(options.cache, spec.name),
      every: 100,
      identity: hashJson({ ...spec, steps: spec.steps, version: 1 }),
    },
    onProgress: options.onProgress,
  });
  await saveModel(join(options.assets, spec.name), parameters, { config: raw, files, dtype: 'F16' });
}

function encodeRow(tokenizer: Tokenizer, seed: number, index: number): TrainRow {
  const { prompt, response, weightPrompt } = pretrainingRow(seed, index);
  const end = tokenizer.eosIds[0] as number;
  return trainRow(
    tokenizer.encodeIds(prompt),
    [...tokenizer.encodeIds(response, { addSpecialTokens: false }), end],
    weightPrompt,
  );
}

/** The batch of a step, a function of the step alone. */
function batches(tokenizer: Tokenizer, seed: number): (step: number) => Batch[] {
  let pool: { index: number; batches: Batch[] } | undefined;
  return (step) => {
    const index = Math.floor((step - 1) / POOL);
    if (pool?.index !== index) {
      const rows = Array.from({ length: ROWS * POOL }, (_, i) =>
        encodeRow(tokenizer, seed, index * ROWS * POOL + i),
      );
      rows.sort((a, b) => a.ids.length - b.ids.length);
      const cut = Array.from({ length: POOL }, (_, i) => padBatch(rows.slice(i * ROWS, (i + 1) * ROWS)));
      pool = { index, batches: new Rng(seed).fork(`pool ${index}`).shuffle(cut) };
    }
    return [pool.batches[(step - 1) % POOL] as Batch];
  };
}

/** The table's rows on its `to` strongest directions (uncentred): [V,from] → [V,to], the best rank-`to` picture of all inner products. */
function project(table: Float32Array, from: number, to: number): Float32Array {
  const rows = table.length / from;
  const gram = Array.from({ length: from }, () => new Float64Array(from));
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < from; i++)
      for (let j = 0; j < from; j++) gram[i]![j]! += table[r * from + i]! * table[r * from + j]!;
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
    new Matrix(gram.map((g) => Array.from(g))),
    { assumeSymmetric: true },
  );
  const strongest = realEigenvalues
    .map((v, i) => ({ v, i }))
    .sort((a, b) => b.v - a.v || a.i - b.i)
    .slice(0, to);
  const out = new Float32Array(rows * to);
  for (let r = 0; r < rows; r++) {
    strongest.forEach(({ i: column }, k) => {
      let sum = 0;
      for (let i = 0; i < from; i++) sum += table[r * from + i]! * eigenvectorMatrix.get(i, column);
      out[r * to + k] = sum;
    });
  }
  return out;
}
