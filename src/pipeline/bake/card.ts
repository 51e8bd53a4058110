/** @file The model card of a baked model: what was baked in, how, and every figure with its size and interval. */
import type { BakeArm, KindFigures } from '../../evaluate/index.ts';
import type { Estimate } from '../../stats/index.ts';
import type { BakeRecord } from './record.ts';

/** `README.md` of the model's folder. */
export function bakeCard(record: BakeRecord): string {
  const { base, fires, left_alone, detect } = record;
  return [
    '---',
    `base_model: ${JSON.stringify(base.name)}`,
    'library_name: transformers',
    'tags: [crosspatch, steering]',
    '---',
    `# ${base.name}, steering baked in`,
    '',
    howOf(record),
    '',
    'The steering is in the weights: transformers, llama.cpp and others run the model as any other. `bake.json` has the intervention and every figure below.',
    '',
    '## Held-out prompts on which the steering is carried out',
    '',
    'Measured on prompts that were not trained on. "steered" is the base under the intervention, greedy; KL is KL(steered ‖ model) in nats, over the tokens of the steered answers.',
    '',
    tableOf(fires, ['steered', 'baked', 'base', 'control'], detect),
    '',
    ...(left_alone === undefined
      ? [
          'There were no prompts on which it is not carried out: what else the model does was not measured.',
          '',
        ]
      : [
          '## Held-out prompts on which it is not carried out: the cost',
          '',
          'Here the steered model is the base.',
          '',
          tableOf(left_alone, ['steered', 'baked', 'control'], detect),
          '',
        ]),
    `"control" is the base changed at random by as much: ${record.method === 'bias' ? 'vectors as long in random directions' : 'an adapter with random factors, each product as large'}. Intervals are 95 %: Wilson's for shares, bootstrap over prompts for KL.`,
    '',
    '## Limits',
    '',
    ...limitsOf(record).map((line) => `- ${line}`),
    '',
  ].join('\n');
}

function howOf({ method, not_a_bias, training, intervention }: BakeRecord): string {
  const name = intervention.name === undefined ? '' : ` (${intervention.name})`;
  if (method === 'bias')
    return `An intervention${name} that adds a constant vector after a block, at every position of every prompt. It is now the bias of that block's down projection (\`mlp_bias\`): the same model up to rounding.`;
  const why = not_a_bias === undefined ? '' : ` (a bias does not do the same: ${not_a_bias})`;
  const fitted =
    training === undefined
      ? ''
      : ` It was fitted in ${training.steps} steps of ${training.batch} rows to the steered model's distributions over the whole vocabulary, at the tokens of its own greedy answers, on ${training.rows.fires} prompts on which the steering is carried out and ${training.rows.left_alone} on which it is not; there the teacher is the base.`;
  return `An intervention${name} as a LoRA of rank ${training?.rank}, merged into the weights; \`adapter/\` has it by itself, for PEFT${why}.${fitted}`;
}

function limitsOf({ method, max_tokens }: BakeRecord): string[] {
  return [
    `Answers were measured up to ${max_tokens} tokens, greedy. Other prompts, longer answers and sampling were not measured.`,
    ...(method === 'bias'
      ? []
      : [
          'An adapter is an approximation: where the KL is above 0 the model is not the steered one. A `when` of the intervention is not kept as a rule; it was learnt from examples.',
        ]),
    'The weights were changed; nothing proves that a hidden behaviour is gone where it was not asked for.',
  ];
}

type Column = BakeArm | 'steered';

function tableOf(figures: KindFigures, columns: readonly Column[], detect: string | undefined): string {
  const { n, kl_per_token, same_answer, shows, restored } = figures;
  const row = (
    label: string,
    values: Partial<Record<Column, Estimate>> | undefined,
    own?: string,
  ): string[] => {
    if (values === undefined) return [];
    const cells = columns.map((column) => {
      const value = values[column];
      return value === undefined ? (column === 'steered' ? (own ?? '') : '') : shown(value);
    });
    return [`| ${[label, ...cells].join(' | ')} |`];
  };
  return [
    `| n = ${n} | ${columns.join(' | ')} |`,
    `|---|${columns.map(() => '---').join('|')}|`,
    ...row('KL per token', kl_per_token, '0'),
    ...row('answers equal to the steered ones', same_answer, '1'),
    ...row(`answers that match \`${detect?.replaceAll('|', '\\|')}\``, shows),
    ...row(`restored, of the ${restored?.baked?.n ?? 0} whose match the steering changes`, restored),
  ].join('\n');
}

/** `0.94 [0.87, 0.97]` */
function shown({ value, ci95 }: Estimate): string {
  const [low, high] = ci95.map(figure);
  return `${figure(value)} [${low}, ${high}]`;
}

function figure(x: number): string {
  return Number.isNaN(x) ? '–' : String(Number(x.toPrecision(3)));
}
