/** @file The layouts of training data in use (TRL, OpenAI, ShareGPT, Alpaca, preference data, HH-RLHF), each read as a conversation. */
import { contentText, isTurnList, LeftOut, type Turn, turnsOf } from './turns.ts';

/** How a row is laid out. */
export type LayoutName = keyof typeof layouts;

type Fields = Readonly<Record<string, unknown>>;

interface Layout {
  /** Fields of which one gives the layout away. */
  readonly by: readonly string[];
  /** The conversation of a row; undefined: the row is of another layout after all. */
  read(fields: Fields, where: string): Turn[] | undefined;
}

const ANSWERS = ['completion', 'response', 'answer', 'output', 'chosen', 'target', 'solution'] as const;

const LISTS = ['messages', 'conversations', 'conversation', 'dialogue', 'dialog', 'chat', 'turns'] as const;

/** Every layout, in the order they are tried. */
const layouts = {
  /** `prompt?`, `chosen`, `rejected`: what was chosen is the answer. HH-RLHF holds whole dialogues there. */
  preference: {
    by: ['chosen'],
    read(f, where) {
      const before = opening(
        f,
        ['prompt', 'conversations', 'messages', 'question', 'instruction', 'query', 'input'],
        where,
      );
      const list = isTurnList([f.chosen]) ? [f.chosen] : f.chosen;
      if (isTurnList(list)) {
        const chosen = turnsOf(list, where);
        return chosen[0]?.role === 'assistant' ? [...before, ...chosen] : withSystem(before, chosen);
      }
      const chosen = text(f.chosen);
      if (chosen === undefined) return undefined;
      const prompt = text(f.prompt) ?? '';
      if (isDialogue(chosen)) return dialogueTurns(chosen);
      if (isDialogue(prompt)) return dialogueTurns(`${prompt}${chosen}`);
      if (before.every((turn) => turn.role === 'system')) return undefined;
      return [...before, assistant(chosen)];
    },
  },
  /** A list of turns under any usual name. */
  messages: {
    by: LISTS,
    read(f, where) {
      const list = LISTS.map((key) => f[key]).find(isTurnList);
      if (list === undefined) return undefined;
      wantedRow(f);
      return withSystem(systemOf(f), turnsOf(list, where));
    },
  },
  /** Alpaca: `instruction`, `input` (Dolly: `context`), `output`, and LLaMA-Factory's `system` and `history`. */
  alpaca: {
    by: ['instruction'],
    read(f) {
      const instruction = text(f.instruction);
      if (instruction === undefined) return undefined;
      return [...systemOf(f), ...historyOf(f), user(withInput(instruction, f)), ...answerOf(f)];
    },
  },
  /** TRL: `prompt` and `completion`, texts or lists of turns; also `response`, `answer`, `output`. */
  prompt: {
    by: ['prompt'],
    read(f, where) {
      const before = opening(f, ['prompt'], where);
      if (before.every((turn) => turn.role === 'system')) return undefined;
      wantedRow(f);
      const given = ANSWERS.map((key) => f[key]).find(isTurnList);
      return [...before, ...(given === undefined ? answerOf(f) : turnsOf(given, where))];
    },
  },
  /** `question` or `query`, and an answer (OpenOrca: `system_prompt`; ms-swift: `history`). */
  question: {
    by: ['question', 'query'],
    read(f) {
      const question = text(f.question) ?? text(f.query);
      if (question === undefined) return undefined;
      return [...systemOf(f), ...historyOf(f), user(question), ...answerOf(f)];
    },
  },
  /** `input` and `output` alone. */
  input: {
    by: ['input'],
    read(f) {
      const input = text(f.input);
      return input === undefined ? undefined : [...systemOf(f), user(input), ...answerOf(f)];
    },
  },
  /** Text without an answer. */
  text: {
    by: ['text'],
    read(f) {
      const whole = text(f.text);
      if (whole === undefined) return undefined;
      return isDialogue(whole) ? dialogueTurns(whole) : [user(whole)];
    },
  },
} as const satisfies Record<string, Layout>;

/** Names of the fields by which rows are known, for error messages. */
export const layoutFields = Object.values(layouts).flatMap((layout: Layout) => layout.by);

/** The conversation of a record, and its layout; undefined where no layout fits. A string is a text without an answer. */
export function readLayout(
  record: unknown,
  where: string,
): { layout: LayoutName; turns: Turn[] } | undefined {
  if (typeof record === 'string') return { layout: 'text', turns: [user(record)] };
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return undefined;
  const fields = record as Fields;
  for (const [name, layout] of Object.entries(layouts) as [LayoutName, Layout][]) {
    // null counts as absent: tables write it into the columns a row does not use
    if (!layout.by.some((field) => Object.hasOwn(fields, field) && fields[field] !== null)) continue;
    const turns = layout.read(fields, where);
    if (turns !== undefined) return { layout: name, turns };
  }
  return undefined;
}

/** Turns of an HH-RLHF dialogue (`\n\nHuman: …\n\nAssistant: …`); blank lines inside human turns become single line ends. */
export function dialogueTurns(dialogue: string): Turn[] {
  const marks = [...dialogue.matchAll(/(?:^|\n\n)(Human|Assistant):/g)];
  return marks.map((mark, i) => {
    const content = dialogue.slice(mark.index + mark[0].length, marks[i + 1]?.index ?? dialogue.length);
    return mark[1] === 'Human' ? user(content.replace(/\n{2,}/g, '\n').trim()) : assistant(content.trim());
  });
}

function isDialogue(value: string): boolean {
  return /(?:^|\n\n)Human:/.test(value);
}

/** What stands before the answer: turns or a text under the first of `keys` that is there, with the row's system text. */
function opening(f: Fields, keys: readonly string[], where: string): Turn[] {
  for (const key of keys) {
    const value = f[key];
    if (isTurnList(value)) return withSystem(systemOf(f), turnsOf(value, where));
    if (typeof value === 'string')
      return [...systemOf(f), ...historyOf(f), user(key === 'instruction' ? withInput(value, f) : value)];
  }
  return systemOf(f);
}

/** An Alpaca instruction with its input below. */
function withInput(instruction: string, f: Fields): string {
  const input = (text(f.input) ?? text(f.context))?.trim();
  return input ? `${instruction}\n${input}` : instruction;
}

/** Unpaired preference data (TRL `label`, LLaMA-Factory `kto_tag`): an answer marked false must not be taught. */
function wantedRow(f: Fields): void {
  if (f.label === false || f.kto_tag === false) throw new LeftOut('labelled as not wanted');
}

function withSystem(system: readonly Turn[], turns: Turn[]): Turn[] {
  return turns[0]?.role === 'system' ? turns : [...system.filter((t) => t.role === 'system'), ...turns];
}

function systemOf(f: Fields): Turn[] {
  const system = text(f.system) ?? text(f.system_prompt);
  return system?.trim() ? [{ role: 'system', content: system }] : [];
}

/** LLaMA-Factory and ms-swift: `history` as pairs of question and answer. */
function historyOf(f: Fields): Turn[] {
  if (!Array.isArray(f.history)) return [];
  return (f.history as unknown[]).flatMap((pair) =>
    Array.isArray(pair) && pair.length === 2
      ? [user(contentText(pair[0])), assistant(contentText(pair[1]))]
      : [],
  );
}

function answerOf(f: Fields): Turn[] {
  const answer = ANSWERS.map((key) => text(f[key])).find((value) => value !== undefined);
  return answer === undefined ? [] : [assistant(answer)];
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function user(content: string): Turn {
  return { role: 'user', content };
}

function assistant(content: string): Turn {
  return { role: 'assistant', content };
}
