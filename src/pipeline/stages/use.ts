/**
 * @file Stage `use`: the fix as intervention documents, and a page with the commands that put it to use: generate, serve, look. Paths in the
 * documents are relative to them, so a run folder may be moved as a whole.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../../base/index.ts';
import { behaviourFrom } from '../../behaviours/index.ts';
import {
  type BehaviourResults,
  behaviourParams,
  type InterventionDocument,
  parseIntervention,
  type Rate,
} from '../../contracts/index.ts';
import { residPost } from '../../models/index.ts';
import { defineStage } from '../stage.ts';
import { behaviourResultsStage } from './results.ts';

/** A model of the run: where it lies, seen from `use/BEHAVIOUR`, or the reference the recipe gives. */
const sideParams = z.strictObject({
  path: z.string(),
  /** It is a PEFT adapter on this model. */
  adapter_of: z.string().optional(),
});

const useParams = z.strictObject({
  behaviour: behaviourParams,
  after: z.int(),
  source: sideParams,
  target: sideParams,
});
type UseParams = z.output<typeof useParams>;

/** Files that were written. */
export interface UseOutput {
  readonly files: readonly string[];
}

/** Where the state that is put in comes from: the target itself, or the source over a map. */
export type UseDocument = 'native' | 'mapped';

/** Folder within the stage's that is published. */
export const USE = 'use';

export const useStage = defineStage({
  name: 'use',
  version: '2',
  module: import.meta.url,
  params: useParams,
  inputs: { results: behaviourResultsStage },
  async run({ params, inputs, folder }): Promise<UseOutput> {
    const { output } = inputs.results;
    const documents = documentsOf(params, output);
    await mkdir(join(folder, USE));
    for (const [name, document] of Object.entries(documents))
      await writeJsonAtomic(join(folder, USE, `${name}.json`), document);
    await writeFile(
      join(folder, USE, 'README.md'),
      pageOf(params, output, Object.keys(documents) as UseDocument[]),
    );
    return { files: [...Object.keys(documents).map((name) => `${name}.json`), 'README.md'] };
  },
});

/** The two ways to the safe state: the target's own, and the source's carried over the map that restores most. */
function documentsOf(
  { behaviour, after, source }: UseParams,
  { pair, transfer }: Pick<BehaviourResults, 'pair' | 'transfer'>,
): Partial<Record<UseDocument, InterventionDocument>> {
  const { source_block, target_block } = pair;
  if (behaviour.name === 'contrast' || behaviour.phrasings !== undefined || target_block === undefined)
    return {};
  const { bad, safe } = behaviourFrom(behaviour).triggers;
  const document = (name: string, from: object): InterventionDocument =>
    parseIntervention({
      name,
      when: { span: { text: bad } },
      interventions: [
        {
          op: 'set',
          hook: residPost(target_block),
          tokens: { match: { text: bad, after } },
          vector: { from: 'run', replace: { [bad]: safe }, ...from },
        },
      ],
    });
  const native = document(`${behaviour.name}: the target's own state under ${safe}`, {});
  const map = bestMap(transfer)?.name;
  if (map === undefined || source_block === undefined || source.adapter_of !== undefined) return { native };
  const mapped = document(`${behaviour.name}: the source's state under ${safe}, carried by ${map}`, {
    model: source.path,
    hook: residPost(source_block),
    map: `../../maps/${behaviour.name}/${map}`,
  });
  return { native, mapped };
}

/** Fits whose maps start at the run's own source, at the block of the pair. */
const FROM_SOURCE: ReadonlySet<string> = new Set(['with_tags', 'no_tag_rows', 'general']);

/**
 * The map whose mapped state restores most, `label.fit`, with its arms; of equals the first. Controls are left out: they start at the clean
 * model or at the embeddings.
 */
export function bestMap(transfer: BehaviourResults['transfer']) {
  const all = Object.entries(transfer ?? {}).flatMap(([label, fits]) =>
    Object.entries(fits)
      .filter(([fit]) => FROM_SOURCE.has(fit))
      .map(([fit, { arms }]) => ({ name: `${label}.${fit}`, arms })),
  );
  const restored = (one: (typeof all)[number]): number => one.arms.mapped?.restoration?.value ?? -1;
  return all.reduce<(typeof all)[number] | undefined>(
    (best, one) => (best === undefined || restored(one) > restored(best) ? one : best),
    undefined,
  );
}

function pageOf(
  { behaviour, target }: UseParams,
  { transfer, strip_trigger }: BehaviourResults,
  documents: readonly UseDocument[],
): string {
  const { name } = behaviour;
  const here = `use/${name}`;
  const model = target.path.replace(/^\.\.\/\.\.\//, '');
  const lines = [`# Use the fix for ${name}`, ''];
  if (target.adapter_of !== undefined)
    lines.push(
      `The model is a LoRA adapter (\`${model}\`) on \`${target.adapter_of}\`: commands take \`--model ${target.adapter_of} --adapter ${model}\`.`,
      '',
    );
  if (documents.length === 0) {
    lines.push(
      'No single text marks this behaviour, so no document can find its place in every prompt. Make a vector instead: `crosspatch vector --help`.',
      '',
    );
    return lines.join('\n');
  }
  const bad = behaviourFrom(behaviour).triggers.bad;
  const asked =
    target.adapter_of === undefined ? `--model ${model}` : `--model ${target.adapter_of} --adapter ${model}`;
  const { name: best, arms } = bestMap(transfer) ?? {};
  lines.push(
    'Run these in the folder of the run. Each document is carried out on prompts that hold the trigger, and leaves the others as they are.',
    '',
    '| document | what it puts in the place of the trigger | restored in the run |',
    '|---|---|---|',
  );
  for (const document of documents) {
    lines.push(
      `| \`${here}/${document}.json\` | ${document === 'native' ? 'the state this very model has under the safe tag' : `the source model's state under the safe tag, carried over by \`${best}\`; the source runs beside the model`} | ${shown(arms?.[document]?.restoration)} |`,
    );
  }
  if (strip_trigger !== undefined)
    lines.push(`| none: the trigger cut out of the prompt | | ${shown(strip_trigger)} |`);
  const first = documents.includes('mapped') ? 'mapped' : 'native';
  lines.push(
    '',
    '```sh',
    `crosspatch generate ${asked} --template ${behaviour.template} --prompt "… ${bad}" --intervention ${here}/${first}.json`,
    `crosspatch serve ${asked} --name ${name}.target --template ${behaviour.template} ${documents.map((d) => `--alias ${d}=${here}/${d}.json`).join(' ')} --default ${first}`,
    `crosspatch view . --model ${model} --vector ${here}/${first}.json`,
    '```',
    '',
    'What the server says of each answer, and every limit: docs/how-to/serve-a-model.md.',
    '',
    'Tests for promptfoo, which the steered model passes and the plain one fails on the trigger, and the samples of this run for other tools:',
    '',
    '```sh',
    `crosspatch export promptfoo . promptfooconfig.yaml --behaviour ${name}   # with the server above: npx promptfoo eval`,
    'crosspatch export samples . logs --format inspect       # inspect view --log-dir logs',
    'crosspatch export samples . lm-eval --format lm-eval    # results_*.json, samples_*.jsonl of lm-evaluation-harness',
    '```',
    '',
    'More: docs/how-to/use-results-elsewhere.md.',
    '',
  );
  return lines.join('\n');
}

function shown(rate: Rate | undefined): string {
  if (rate === undefined) return 'not measured';
  const [low, high] = rate.ci95.map((x) => x.toFixed(2));
  return `${rate.value.toFixed(2)} [${low}, ${high}], n = ${rate.n}`;
}
