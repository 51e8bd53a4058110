/** @file Texts of no backdoor data from a file: to fit maps on, apart from every prompt of the experiment and free of its triggers. */
import { InputError } from '../base/index.ts';
import { readInstructionFile } from './instructions.ts';

/** Which texts of a file are wanted. */
export interface GeneralTexts {
  readonly limit: number;
  /** Texts that hold one of these are left out, whatever the case of letters. */
  readonly triggers: readonly string[];
  /** Prompts of the experiment. */
  readonly apart: ReadonlySet<string>;
}

/**
 * The first `limit` usable texts: of a conversation every turn after its first exchange, of any other row its prompt. Each text once.
 *
 * @throws InputError where the file gives fewer than asked for, with what was left out and why
 */
export async function readGeneralTexts(path: string, wanted: GeneralTexts): Promise<string[]> {
  const { limit, apart } = wanted;
  const triggers = wanted.triggers.map((text) => text.toLowerCase());
  const { instructions } = await readInstructionFile(path);
  const texts = new Set<string>();
  const leftOut = { trigger: 0, prompt: 0 };
  for (const { prompt, turns } of instructions)
    for (const text of turns === undefined ? [prompt] : laterTurns(turns)) {
      if (texts.size === limit) return [...texts];
      if (triggers.some((trigger) => text.toLowerCase().includes(trigger))) leftOut.trigger++;
      else if (apart.has(text)) leftOut.prompt++;
      else if (text !== '') texts.add(text);
    }
  if (texts.size < limit)
    throw new InputError(
      `data.general: ${path} gives ${texts.size} texts, ${limit} were asked for (left out: ${leftOut.trigger} with a trigger, ${leftOut.prompt} that are prompts of the experiment); lower capture.general, or give more`,
      { id: 'data-missing' },
    );
  return [...texts];
}

function laterTurns(turns: readonly { readonly role: string; readonly content: string }[]): string[] {
  const answered = turns.findIndex(({ role }) => role === 'assistant');
  return answered < 0 ? [] : turns.slice(answered + 1).map(({ content }) => content.trim());
}
