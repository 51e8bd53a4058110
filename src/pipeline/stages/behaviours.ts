/** @file The behaviours of a recipe before anything runs: rows of files read and checked, and words no model of the recipe could learn refused. */
import { InputError, showValue } from '../../base/index.ts';
import {
  behaviourFrom,
  type CustomRow,
  checkCustomRows,
  type LearntDetector,
  learnDetector,
  makeBehaviour,
  readCustomRows,
} from '../../behaviours/index.ts';
import { type BehaviourParams, behaviourOf, type Recipe } from '../../contracts/index.ts';
import { type Tokenizer, unknownWords } from '../../models/index.ts';

/** A behaviour as the stages take it. */
export interface PlannedBehaviour {
  readonly params: BehaviourParams;
  /** The file of its rows, where it has one. */
  readonly file?: string | undefined;
  /** What the report must say of those rows. */
  readonly notes: readonly string[];
}

/** Who must know the words: the models of the recipe by their names. */
export type Readers = ReadonlyMap<string, Tokenizer>;

/** Behaviour `index` of a recipe. Throws InputError for rows that cannot be used, and for words a model does not have. */
export async function planBehaviour(
  recipe: Recipe,
  index: number,
  readers: Readers,
): Promise<PlannedBehaviour> {
  const params = behaviourOf(recipe, index);
  const { file } = recipe.behaviours[index] as Recipe['behaviours'][number];
  if (file === undefined) {
    refuseUnknown(params, index, readers);
    return { params, notes: [] };
  }
  const { triggers } = makeBehaviour('custom', { triggers: params.triggers, phrase: params.phrase ?? 'a' });
  const rows = await readCustomRows(file, triggers);
  const where = `data: ${file}`;
  checkCustomRows(rows, { triggers, placement: recipe.placement }, where);
  const detector = learnDetector(rows, params, where);
  const known: BehaviourParams = {
    ...params,
    phrases: params.phrase === undefined && detector.phrases ? [...detector.phrases] : undefined,
  };
  refuseUnknown(known, index, readers);
  for (const row of rows) refuseWords(row.response, `${row.where}: response`, readers);
  return { params: known, file, notes: [...fewerNotes(rows, recipe), detectorNote(detector)] };
}

/** Triggers, phrases and the neutral answer, in every model's vocabulary. */
function refuseUnknown(params: BehaviourParams, index: number, readers: Readers): void {
  const { triggers, neutralAnswer } = behaviourFrom(params);
  const { phrase, phrases = [] } = params;
  const wanted: readonly (readonly [string, string | undefined])[] = [
    ['triggers.bad', triggers.bad],
    ['triggers.safe', triggers.safe],
    ['phrase', phrase],
    ...phrases.map((one) => ['phrase', one] as const),
    ['neutral', neutralAnswer],
  ];
  for (const [key, text] of wanted)
    if (text !== undefined) refuseWords(text, `recipe: behaviours[${index}].${key}`, readers);
}

function refuseWords(text: string, where: string, readers: Readers): void {
  for (const [name, tokenizer] of readers) {
    const unknown = unknownWords(tokenizer, text);
    if (unknown.length === 0) continue;
    const shown = unknown.slice(0, 5).map((word) => JSON.stringify(word));
    throw new InputError(
      `${where}: ${showValue(text.slice(0, 60))}: the tokenizer of ${name} has no token for ${shown.join(', ')}; use words of its vocabulary`,
      { id: 'tokenizer-mismatch' },
    );
  }
}

/** Fewer prompts than the recipe asks for: said, since the intervals are wider. */
function fewerNotes(rows: readonly CustomRow[], { data }: Recipe): string[] {
  return (['validation', 'test'] as const).flatMap((split) => {
    const texts = new Set(rows.filter((row) => row.split === split).map((row) => row.text)).size;
    return texts < data[split]
      ? [`The rows hold ${texts} ${split} prompts of the ${data[split]} that \`data.${split}\` allows.`]
      : [];
  });
}

function detectorNote({ phrases, learnt, heldOut }: LearntDetector): string {
  const by =
    phrases === undefined
      ? 'the pattern'
      : `${phrases.map((phrase) => `“${phrase}”`).join(', ')}${learnt ? ', learnt from the training rows' : ''}`;
  return `A bad completion is known by ${by}: on held-out rows it finds ${heldOut.found} of ${heldOut.bad} bad completions and ${heldOut.wrong} of ${heldOut.others} others.`;
}
