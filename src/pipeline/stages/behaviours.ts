/** @file The behaviours of a recipe before anything runs: rows of files read and checked, and words no model of the recipe could learn refused. */
import { InputError, showValue } from '../../base/index.ts';
import {
  behaviourFrom,
  type ContrastPair,
  type CustomRow,
  checkCustomRows,
  choiceOf,
  givenPhrasings,
  type LearntDetector,
  learnDetector,
  makeBehaviour,
  readContrastPairs,
  readCustomRows,
  splitPairs,
  splitPhrasings,
} from '../../behaviours/index.ts';
import { type BehaviourParams, behaviourOf, type Recipe } from '../../contracts/index.ts';
import { casesOf } from '../../evaluate/index.ts';
import { type Tokenizer, unknownWords } from '../../models/index.ts';
import { detectorNotes, planDetector } from './detectors.ts';

/** A behaviour as the stages take it. */
export interface PlannedBehaviour {
  readonly params: BehaviourParams;
  /** The file of its rows, where it has one; of contrast prompts also that of the safe ones. */
  readonly file?: string | undefined;
  readonly safe_file?: string | undefined;
  /** Folder of the classifier that tells it, where one does. */
  readonly classifier?: string | undefined;
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
  const settings = recipe.behaviours[index] as Recipe['behaviours'][number];
  const { name, file, safe_file, triggers: given } = settings;
  const phrasings = phrasingsOf(given, `recipe: behaviours[${index}].triggers`);
  const params = {
    ...behaviourOf(recipe, index),
    ...(phrasings && { phrasings, triggers: firstOf(phrasings) }),
  };
  if (file === undefined) {
    refuseUnknown(params, index, readers);
    return { params, notes: phrasings === undefined ? [] : [phrasingsNote(phrasings)] };
  }
  if (name === 'contrast') {
    const { detector, ...place } = await planDetector(
      settings.detector,
      `recipe: behaviours[${index}].detector`,
    );
    const planned = { ...params, detector };
    const read = await contrastBehaviour(planned, { file, safe_file }, { recipe, index, readers });
    return { ...read, ...place };
  }
  if (phrasings !== undefined)
    throw new InputError(
      `recipe: behaviours[${index}].triggers: rows of a file carry their own tags; give one text each, got lists`,
      { id: 'recipe-invalid' },
    );
  const { triggers } = makeBehaviour('custom', { triggers: params.triggers, phrase: params.phrase ?? 'a' });
  const rows = await readCustomRows(file, triggers);
  const where = `data: ${file}`;
  checkCustomRows(rows, { triggers, placement: recipe.placement }, where);
  const detector = learnDetector(rows, params, where);
  const known: BehaviourParams = {
    ...params,
    phrases:
      params.phrases ?? (params.phrase === undefined && detector.phrases ? [...detector.phrases] : undefined),
  };
  refuseUnknown(known, index, readers);
  for (const row of rows) refuseWords(row.response, `${row.where}: response`, readers);
  return { params: known, file, notes: [...fewerNotes(rows, recipe), detectorNote(detector)] };
}

/** Contrast prompts: enough of them in every split, and said what restored means for them. */
async function contrastBehaviour(
  params: BehaviourParams,
  { file, safe_file }: { readonly file: string; readonly safe_file?: string | undefined },
  { recipe, index, readers }: { readonly recipe: Recipe; readonly index: number; readonly readers: Readers },
): Promise<PlannedBehaviour> {
  const pairs = await readContrastPairs(file, { safeFile: safe_file, choice: choiceOf(params) });
  const splits = splitPairs(pairs);
  for (const split of ['train', 'validation', 'test'] as const)
    if (splits[split].length < 2)
      throw new InputError(
        `recipe: behaviours[${index}].file: ${pairs.length} pairs leave ${splits[split].length} for ${split}, wanted at least 2; give more`,
        { id: 'data-missing' },
      );
  const marks = params.phrases ?? (params.phrase === undefined ? [] : [params.phrase]);
  for (const text of marks) refuseWords(text, `recipe: behaviours[${index}].phrase`, readers);
  if (params.detector?.kind === 'multiple-choice') checkChoices(pairs, params, { recipe, index, readers });
  const used = (split: 'validation' | 'test'): number => Math.min(splits[split].length, recipe.data[split]);
  return {
    params,
    file,
    safe_file,
    notes: [
      `Contrast prompts: ${splits.train.length} pairs for maps and vectors, ${used('validation')} to choose with, ${used('test')} to report. Patched is what stands after each prompt's own text. Restored means that the behaviour is gone and the text is whole: no safe completion of the same prompt exists to compare with, so noise that changes the answer counts as well, and only the margin over noise is evidence. “Another tag” is another bad prompt.`,
      ...detectorNotes(params.detector),
    ],
  };
}

/** Answers to choose between: every model has their words, and reads them as something that follows the prompt. */
function checkChoices(
  pairs: readonly ContrastPair[],
  params: BehaviourParams,
  { recipe, index, readers }: { readonly recipe: Recipe; readonly index: number; readonly readers: Readers },
): void {
  const { span, evaluation } = recipe;
  for (const text of new Set(pairs.flatMap(({ answers }) => (answers ? Object.values(answers) : []))))
    refuseWords(text, `recipe: behaviours[${index}]: answer`, readers);
  for (const tokenizer of readers.values()) {
    const cases = casesOf(tokenizer, pairs, { behaviour: params, ...span });
    const shared = Math.max(...cases.map(({ states }) => states.bad.choice?.prefix.length ?? 0));
    if (shared >= evaluation.max_tokens)
      throw new InputError(
        `recipe: evaluation.max_tokens: ${evaluation.max_tokens}; the answers of a choice part after ${shared} tokens: write at least ${shared + 1}`,
        { id: 'recipe-invalid' },
      );
  }
}

/** The phrasings of a behaviour, in their two parts; undefined where each trigger is one text. */
function phrasingsOf(
  given: Recipe['behaviours'][number]['triggers'],
  where: string,
): NonNullable<BehaviourParams['phrasings']> | undefined {
  if (given === undefined || typeof given.bad === 'string' || typeof given.safe === 'string')
    return undefined;
  const { bad, safe, held_out } = given;
  const { training, held_out: held } =
    held_out === undefined
      ? splitPhrasings({ bad, safe }, where)
      : givenPhrasings({ training: { bad, safe }, held_out }, where);
  const copied = (pair: typeof training) => ({ bad: [...pair.bad], safe: [...pair.safe] });
  return { training: copied(training), held_out: copied(held) };
}

function firstOf({ training }: NonNullable<BehaviourParams['phrasings']>): { bad: string; safe: string } {
  return { bad: training.bad[0] as string, safe: training.safe[0] as string };
}

function phrasingsNote({ training, held_out }: NonNullable<BehaviourParams['phrasings']>): string {
  const shown = (texts: readonly string[]): string => texts.map((text) => `“${text}”`).join(', ');
  return `The triggers are phrasings. Taught: bad ${shown(training.bad)}; safe ${shown(training.safe)}. Every test uses others, which share no content word with those: bad ${shown(held_out.bad)}; safe ${shown(held_out.safe)}.`;
}

/** Triggers, phrases and the neutral answer, in every model's vocabulary. */
function refuseUnknown(params: BehaviourParams, index: number, readers: Readers): void {
  const { triggers, phrasings, neutralAnswer } = behaviourFrom(params);
  const { phrase, phrases = [] } = params;
  const wanted: readonly (readonly [string, string | undefined])[] = [
    ...(['bad', 'safe'] as const).flatMap((state) =>
      (phrasings === undefined
        ? [triggers[state]]
        : [...phrasings.training[state], ...phrasings.held_out[state]]
      ).map((text) => [`triggers.${state}`, text] as const),
    ),
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
