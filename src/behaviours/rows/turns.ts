/** @file Conversations as data files hold them (OpenAI, ShareGPT, TRL): one list of turns with one set of names. */
import { InputError, showValue } from '../../base/index.ts';

/** Who speaks. */
type Role = 'system' | 'user' | 'assistant' | 'tool';

/** One turn. */
export interface Turn {
  readonly role: Role;
  readonly content: string;
  /** Set by the file (`weight: 0`, `train: false`): an assistant turn that is context and is not taught. */
  readonly untaught?: boolean;
  /** Fields chat templates read (`tool_calls`, `name`, `reasoning_content`, …), as the file has them. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** A row cannot be used, for a reason that is counted. */
export class LeftOut {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

const ROLES: Readonly<Record<string, Role>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  instruction: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  ai: 'assistant',
  chatgpt: 'assistant',
  chatbot: 'assistant',
  tool: 'tool',
  function: 'tool',
  function_call: 'assistant',
  function_response: 'tool',
  observation: 'tool',
  ipython: 'tool',
};

const ROLE_KEYS = ['role', 'from', 'speaker', 'author'] as const;
const CONTENT_KEYS = ['content', 'value', 'text', 'message'] as const;

/** Whether a value looks like a list of turns: not empty, and its first item names who speaks. */
export function isTurnList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length > 0 && roleOf(value[0]) !== undefined;
}

/**
 * Turns of a list in any of the usual spellings. `where` begins the error.
 *
 * @throws LeftOut for content that is not text
 * @throws InputError for a role nobody uses
 */
export function turnsOf(list: readonly unknown[], where: string): Turn[] {
  return list.map((item, i): Turn => {
    const fields = (typeof item === 'object' && item !== null ? item : {}) as Record<string, unknown>;
    const name = roleOf(item);
    const role = name === undefined ? undefined : ROLES[name.toLowerCase().trim()];
    if (role === undefined)
      throw new InputError(
        `${where}: turn ${i + 1}: wanted a role such as system, user (human) or assistant (gpt), got ${showValue(name ?? item)}`,
        { id: 'data-invalid' },
      );
    const key = CONTENT_KEYS.find((k) => fields[k] !== undefined && fields[k] !== null);
    const content = key === undefined ? '' : contentText(fields[key]);
    const rest = Object.entries(fields).filter(
      ([k, v]) => k !== key && !(ROLE_KEYS as readonly string[]).includes(k) && v !== null && v !== undefined,
    );
    const untaught =
      role === 'assistant' && (fields.weight === 0 || fields.weight === 0n || fields.train === false);
    return {
      role,
      content,
      untaught: untaught || undefined,
      fields: rest.length === 0 ? undefined : Object.fromEntries(rest),
    };
  });
}

/** The text of a turn: a string, or parts of which all are text. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (typeof content === 'number' || typeof content === 'bigint') return String(content);
  const parts = Array.isArray(content) ? content : [content];
  return parts
    .map((part: unknown): string => {
      if (typeof part === 'string') return part;
      const fields = (typeof part === 'object' && part !== null ? part : {}) as Record<string, unknown>;
      if (typeof fields.text === 'string') return fields.text;
      if (typeof fields.content === 'string') return fields.content;
      throw new LeftOut(
        typeof fields.type === 'string'
          ? `content that is not text (${fields.type})`
          : 'content that is not text',
      );
    })
    .join('');
}

function roleOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const fields = item as Record<string, unknown>;
  const key = ROLE_KEYS.find((k) => typeof fields[k] === 'string');
  return key === undefined ? undefined : (fields[key] as string);
}
