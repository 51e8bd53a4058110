/**
 * @file The alignment of real pairs against a second source: character ranges by decoding, and by Hugging Face's library where
 * `span_offsets.py` left its answers; pairs by the plain rule of docs/concepts/method.md#paired-activations.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Tokenizer, tokenizerTextsFromGguf } from '../../src/models/index.ts';
import { type Offsets, offsetsByDecoding, plainAlignment } from '../../src/models/tokenizer/align.helper.ts';
import { proportion } from '../../src/stats/index.ts';
import {
  type ModelName,
  metadataOf,
  PAIRS,
  PLACES,
  type SpanCase,
  spanCase,
  type TokenizerPair,
  TRIGGERS,
  templatesOf,
  tokenizersOf,
} from './span-cases.ts';

type Sides = 'source' | 'target';
const SIDES = ['source', 'target'] as const;

/** Ids and ranges by Hugging Face's library, of a text without added tokens; ranges count code points. */
interface Answer {
  readonly ids: number[];
  readonly offsets: [number, number][];
}

/** For `span_offsets.py`: `NAME.tokenizer.json` and `NAME.texts.json` in `work`, of every model. */
export async function writeFor(prompts: readonly string[], models: string, work: string): Promise<void> {
  await mkdir(work, { recursive: true });
  const texts = new Map<ModelName, string[]>();
  for (const names of PAIRS)
    for (const c of turnedCases(await tokenizersOf(names, models), prompts))
      SIDES.forEach((side, k) => {
        const name = names[k] as ModelName;
        texts.set(name, [...(texts.get(name) ?? []), c[side].prompt]);
      });
  for (const [name, all] of texts) {
    const json = tokenizerTextsFromGguf(await metadataOf(name, models))['tokenizer.json'];
    await writeFile(join(work, `${name}.tokenizer.json`), json);
    await writeFile(join(work, `${name}.texts.json`), JSON.stringify([...new Set(all)]));
  }
}

/** Compare every case; those that differ are shown, and the exit code is 1. */
export async function checkPair(
  names: (typeof PAIRS)[number],
  prompts: readonly string[],
  models: string,
  work: string,
): Promise<void> {
  const pair = await tokenizersOf(names, models);
  const answers = { source: await answersOf(names[0], work), target: await answersOf(names[1], work) };
  const ways: Record<string, (c: SpanCase, side: Sides) => Offsets | undefined> = {
    decoding: (c, side) => decodedOffsets(c[side], pair[side]),
    'tokenizers of Hugging Face': (c, side) => libraryOffsets(c[side], answers[side]),
  };
  const cases = turnedCases(pair, prompts);
  for (const [way, read] of Object.entries(ways)) {
    let [equal, texts, tokens, other] = [0, 0, 0, 0];
    for (const c of cases) {
      const [a, b] = [read(c, 'source'), read(c, 'target')];
      if (a === undefined || b === undefined) {
        other++;
        continue;
      }
      texts++;
      const wanted = plainRows(c, a, b);
      const got = [...(c.paired.alignment?.sourceOf ?? wanted.keys())];
      const inTurn = wanted.filter((at) => at !== undefined).length;
      tokens += inTurn;
      const asRead = c.target.positions.every((p, k) => c.rows[k] === got[p]);
      if (asRead && wanted.every((at, j) => at === undefined || at === got[j])) equal++;
      else {
        process.exitCode = 1;
        console.log(
          `${names.join(' → ')}, ${way}: differs at ${JSON.stringify(c.target.prompt.slice(0, 200))}`,
        );
      }
    }
    const { value, ci95 } = proportion(equal, texts);
    console.log(
      `${names.join(' → ')}, offsets by ${way}: ${equal} of ${texts} texts pair as the rule says (${value}, [${ci95.map((x) => x.toFixed(4)).join(', ')}]), ${tokens} tokens; ${other} texts without an answer`,
    );
  }
}

/** One case a prompt: templates, places, triggers and states in turn. */
function turnedCases(pair: TokenizerPair, prompts: readonly string[]): SpanCase[] {
  const kinds = templatesOf(pair).flatMap((template) =>
    PLACES.flatMap((place) =>
      TRIGGERS.flatMap((trigger) =>
        (['bad', 'safe'] as const).map((state) => ({ template, place, trigger, state })),
      ),
    ),
  );
  return prompts.map((text, i) => spanCase(pair, text, kinds[i % kinds.length]!));
}

/** Row of the source for every token of the target; of two chat templates those of the user's turn alone, undefined elsewhere. */
function plainRows({ source, target }: SpanCase, a: Offsets, b: Offsets): (number | undefined)[] {
  if (source.turn === undefined || target.turn === undefined || source.prompt === target.prompt)
    return plainAlignment(a, b);
  const turn = (offsets: Offsets, { text, start }: { text: string; start: number }) => {
    const at = offsets.flatMap(([, end], i) => (end > start && end <= start + text.length ? [i] : []));
    const cut = at.map((i) => offsets[i]!.map((x) => Math.max(0, x - start)) as [number, number]);
    return { at, cut };
  };
  const [own, given] = [turn(b, target.turn), turn(a, source.turn)];
  const rows: (number | undefined)[] = b.map(() => undefined);
  plainAlignment(given.cut, own.cut).forEach((row, k) => {
    rows[own.at[k]!] = row < 0 ? given.at[0]! - 1 : given.at[row];
  });
  return rows;
}

function decodedOffsets({ prompt, ids }: SpanCase['target'], tokenizer: Tokenizer): Offsets | undefined {
  return offsetsByDecoding(tokenizer, prompt, ids, addedBefore(prompt, ids, tokenizer));
}

function addedBefore(prompt: string, ids: readonly number[], tokenizer: Tokenizer): number {
  return ids.length - tokenizer.encodeIds(prompt, { addSpecialTokens: false }).length;
}

/** The library's ranges in UTF-16 units, after the tokens that were added before the text. */
function libraryOffsets(
  { prompt, ids }: SpanCase['target'],
  answers: ReadonlyMap<string, Answer>,
): Offsets | undefined {
  const answer = answers.get(prompt);
  if (answer === undefined) return undefined;
  const added = ids.length - answer.ids.length;
  if (String(ids.slice(added)) !== String(answer.ids))
    throw new Error(`the library has other ids for ${JSON.stringify(prompt)}`);
  const units = [0];
  for (const c of prompt) units.push((units.at(-1) as number) + c.length);
  return [
    ...ids.slice(0, added).map((): [number, number] => [0, 0]),
    ...answer.offsets.map(([start, end]): [number, number] => [units[start]!, units[end]!]),
  ];
}

async function answersOf(name: ModelName, work: string): Promise<Map<string, Answer>> {
  const read = async <T>(file: string): Promise<T[]> =>
    JSON.parse(await readFile(join(work, `${name}.${file}.json`), 'utf8').catch(() => '[]')) as T[];
  const [texts, answers] = [await read<string>('texts'), await read<Answer>('offsets')];
  return new Map(answers.map((answer, i) => [texts[i]!, answer]));
}
