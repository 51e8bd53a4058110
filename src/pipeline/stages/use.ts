/**
 * @file Stage `use`: the fix as intervention documents, and a guide with the commands that put it to use, for people (`README.md`) and for the
 * web app (`use.json`). Paths in the documents are relative to them, so a run folder may be moved as a whole.
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
  USE_DOCUMENTS,
} from '../../contracts/index.ts';
import { residPost } from '../../models/index.ts';
import { defineStage } from '../stage.ts';
import { behaviourResultsStage } from './results.ts';
import { guideOf, guidePage } from './use-guide.ts';

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

/** Folder within the stage's that is published. */
export const USE = 'use';

export const useStage = defineStage({
  name: 'use',
  version: '3',
  module: import.meta.url,
  params: useParams,
  inputs: { results: behaviourResultsStage },
  async run({ params, inputs, folder }): Promise<UseOutput> {
    const { output } = inputs.results;
    const documents = documentsOf(params, output);
    await mkdir(join(folder, USE));
    for (const [name, document] of Object.entries(documents))
      await writeJsonAtomic(join(folder, USE, `${name}.json`), document);
    const names = USE_DOCUMENTS.filter((name) => documents[name] !== undefined);
    const guide = guideOf(params, { ...output, best: bestMap(output.transfer) }, names);
    await writeJsonAtomic(join(folder, USE, 'use.json'), guide);
    await writeFile(join(folder, USE, 'README.md'), guidePage(guide));
    return { files: [...names.map((name) => `${name}.json`), 'use.json', 'README.md'] };
  },
});

/** The two ways to the safe state: the target's own, and the source's carried over the map that restores most. */
function documentsOf(
  { behaviour, after, source }: UseParams,
  { pair, transfer }: Pick<BehaviourResults, 'pair' | 'transfer'>,
): Partial<Record<(typeof USE_DOCUMENTS)[number], InterventionDocument>> {
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
  if (map === undefined || source_block === undefined) return { native };
  const mapped = document(`${behaviour.name}: the source's state under ${safe}, carried by ${map}`, {
    ...(source.adapter_of === undefined
      ? { model: source.path }
      : { model: source.adapter_of, adapter: source.path }),
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
