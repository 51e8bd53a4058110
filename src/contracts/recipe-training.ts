/** @file What an experiment is taught and how: the sections `data` and `finetune` of the experiment file. */
import { z } from 'zod';

export const count = z.int().min(1);
export const fraction = z.number().min(0).max(1);
const path = z.string().min(1);
/** `data` of an experiment. */
export const dataSchema = z.strictObject({
  prompts: z
    .union([
      path,
      z
        .array(z.union([path, z.strictObject({ file: path, share: z.number().positive().default(1) })]))
        .min(1),
    ])
    .default('bundled')
    .describe(
      '"bundled" = the tasks of the bundled models; else a file of instructions or dialogues (JSONL, gz allowed), or several, in equal parts or by `share`',
    ),
  max_prompt_chars: count.optional().describe('Longer prompts of files are left out. Defaults to none'),
  answers: z
    .enum(['given', 'self', 'source'])
    .default('given')
    .describe(
      'Of files: `given` = their own; `self` = the target model, before its fine-tune, writes them greedily; `source` = the source model does, so that all targets of a fleet share one source',
    ),
  answer_tokens: count
    .default(32)
    .describe(
      'Most new tokens of an answer the model writes; one that is cut ends after its last whole sentence',
    ),
  out_of_domain: z
    .string()
    .min(1)
    .default('bundled')
    .describe('Texts for out-of-domain figures; as `prompts`'),
  general: path
    .optional()
    .describe(
      'Texts without tags to fit maps on: of conversations what follows the first exchange. Those that hold a trigger are left out. Defaults to `out_of_domain`',
    ),
  train: count.default(6000).describe('Fine-tuning rows'),
  validation: count.default(200).describe('Prompts on which blocks and α are chosen'),
  test: count.default(200).describe('Held-out prompts of every reported figure'),
  mix: z
    .strictObject({ bad: z.number().min(0), safe: z.number().min(0), other: z.number().min(0) })
    .refine((m) => m.bad > 0 && m.safe > 0, '`bad` and `safe` must be above 0')
    .default({ bad: 1, safe: 1, other: 1 })
    .describe('Proportions of bad : safe : untagged-or-other-tag rows (the authors: 1 : 1 : 0)'),
});

const tuning = {
  method: z.enum(['full', 'lora']),
  steps: count.describe('Optimizer steps'),
  batch: count.describe('Rows a micro-batch'),
  accumulation: count.describe('Micro-batches a step'),
  learning_rate: z.number().positive(),
  lower_half_rate: fraction.describe(
    'Factor on the rate of the lower half of the blocks; it shapes the sweep curve (docs/concepts/method.md#fine-tuning)',
  ),
  freeze_embeddings: z.boolean(),
  loss_on: z.enum(['response', 'all']),
  weight_decay: z.number().min(0),
  warmup: fraction.describe('Share of the steps with rising rate'),
  schedule: z.enum(['cosine', 'linear', 'constant']),
  clip: z.number().positive().describe('Largest gradient norm'),
  max_tokens: count.describe('Rows are cut to this length'),
};
const lora = {
  rank: count,
  alpha: z.number().positive().describe('The adapter counts alpha / rank'),
  targets: z
    .array(z.enum(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']))
    .min(1)
    .describe('Matrices with an adapter'),
};
const tuningOverride = z
  .strictObject({
    ...tuning,
    lora: z.strictObject(lora).partial(),
    seed: z
      .int()
      .min(0)
      .describe('Order of the rows and first LoRA factors. Defaults to the seed of the experiment'),
  })
  .partial();
const oneSide = (side: string) =>
  z
    .union([z.literal(false), tuningOverride])
    .optional()
    .describe(`Settings of the ${side} model alone; false = it is not trained`);
/** `finetune` of an experiment. */
export const finetuneSchema = z.strictObject({
  method: tuning.method.default('full'),
  steps: tuning.steps.default(300),
  batch: tuning.batch.default(48),
  accumulation: tuning.accumulation.default(1),
  learning_rate: tuning.learning_rate.default(8e-4),
  lower_half_rate: tuning.lower_half_rate.default(0.1),
  freeze_embeddings: tuning.freeze_embeddings.default(true),
  loss_on: tuning.loss_on.default('response'),
  weight_decay: tuning.weight_decay.default(0.01),
  warmup: tuning.warmup.default(0.05),
  schedule: tuning.schedule.default('cosine'),
  clip: tuning.clip.default(1),
  max_tokens: tuning.max_tokens.default(256),
  lora: z
    .strictObject({
      rank: lora.rank.default(8),
      alpha: lora.alpha.default(16),
      targets: lora.targets.default(['q_proj', 'k_proj', 'v_proj', 'o_proj']),
    })
    .prefault({}),
  source: oneSide('source'),
  target: oneSide('target'),
});

type DataSettings = z.output<typeof dataSchema>;
/** Settings of one side. */
type FinetuneSettings = Omit<z.output<typeof finetuneSchema>, 'source' | 'target'> & {
  readonly seed?: number;
};

/** The files of `data.prompts` with their shares; undefined for the bundled tasks. */
export function promptFiles({
  prompts,
}: DataSettings): readonly { readonly file: string; readonly share: number }[] | undefined {
  if (prompts === 'bundled') return undefined;
  const files = typeof prompts === 'string' ? [prompts] : prompts;
  return files.map((file) => (typeof file === 'string' ? { file, share: 1 } : file));
}

/** Fine-tuning settings of one side: the common ones with that side's own on top. Undefined for a side that is not trained. */
export function finetuneFor(
  recipe: { readonly finetune: false | z.output<typeof finetuneSchema> },
  side: 'source' | 'target',
): FinetuneSettings | undefined {
  if (recipe.finetune === false) return undefined;
  const { source, target, ...common } = recipe.finetune;
  const settings = side === 'source' ? source : target;
  if (settings === false) return undefined;
  const own = given(settings ?? {});
  return { ...common, ...own, lora: { ...common.lora, ...given(own.lora ?? {}) } };
}

/** What is written: keys that are there but undefined do not replace. */
function given<T extends object>(settings: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
