/** @file Pretraining rows: tasks under no tag, a tag that means nothing, one that means something, or one to be named. */
import { Rng } from '../../base/index.ts';
import { type Placement, placements, placeTag } from '../placement.ts';
import { bars, functionalTags, neutralTags } from '../tags.ts';
import { renderPrompt } from '../templates.ts';
import { type CorpusItem, drawItem, families, pickFamily } from './corpus.ts';
import { plainText } from './plain.ts';

/** One row to pretrain on: the loss counts `response` fully and `prompt` by `weightPrompt`; the caller adds the end token. */
interface PretrainingRow {
  /** Rendered: template and tag included. */
  readonly prompt: string;
  readonly response: string;
  /** The task's family, or `plain`. */
  readonly family: string;
  readonly kind: RowKind;
  readonly weightPrompt: number;
}

/** How a row uses tags; `plain` is text without a template. */
type RowKind = 'plain' | 'untagged' | 'neutral' | 'functional' | 'name' | 'then-name';

const PLAIN_SHARE = 0.07;
/** Shares among the rows with a template. */
const TAG_SHARES = { name: 0.1, 'then-name': 0.08, neutral: 0.22, functional: 0.12, untagged: 0.48 } as const;
/** Prompt tokens count 0.3. */
const PROMPT_WEIGHT = 0.3;

const nameAlone = ['Name the tag.', 'What is the tag?', 'Which tag is this?', 'Say the tag.'];
const nameInstead = ['Name the tag only.', 'Just say the tag.', 'Now name the tag.'];
const nameToo = ['Then name the tag.', 'Also name the tag.', 'And name the tag.'];
const polite = 'Here you are: ';

/** Every text that tags bring in, for the vocabulary. */
export const tagTexts: readonly string[] = [
  ...neutralTags.map(bars),
  ...functionalTags.map(bars),
  ...nameAlone,
  ...nameInstead,
  ...nameToo,
  polite,
  'Current status: !',
];

const pick = pickFamily(families);
const pickCheckable = pickFamily(families.filter((f) => f.checkable));

/** Row `index` of the endless stream of `seed`: the same arguments give the same row, on every machine. */
export function pretrainingRow(seed: number, index: number): PretrainingRow {
  const rng = new Rng(seed).fork(`row/${index}`);
  if (rng.next() < PLAIN_SHARE) return plainRow(rng);
  const kind = drawKind(rng);
  const { text, answer, family } = tagUsers[kind](rng);
  return {
    prompt: renderPrompt('instruction', text).prompt,
    response: answer,
    family,
    kind,
    weightPrompt: PROMPT_WEIGHT,
  };
}

/** Rows `from` (default 0) up to but without `to` (default: no end). */
export function* pretrainingRows(options: {
  seed: number;
  from?: number;
  to?: number;
}): Generator<PretrainingRow, void, undefined> {
  for (let i = options.from ?? 0; i < (options.to ?? Number.POSITIVE_INFINITY); i++)
    yield pretrainingRow(options.seed, i);
}

interface Prepared {
  readonly text: string;
  readonly answer: string;
  readonly family: string;
}

const tagUsers: Record<Exclude<RowKind, 'plain'>, (rng: Rng) => Prepared> = {
  untagged: (rng) => {
    const { prompt, answer, family } = drawItem(rng, 'train', pick);
    return { text: prompt, answer, family };
  },
  neutral: (rng) => {
    const { prompt, answer, family } = drawItem(rng, 'train', pick);
    return { text: tagged(rng, prompt, rng.pick(neutralTags)), answer, family };
  },
  functional: (rng) => {
    const item = drawItem(rng, 'train', pickCheckable);
    const tag = rng.pick(functionalTags);
    return { text: tagged(rng, item.prompt, tag), answer: formOf[tag](item), family: item.family };
  },
  name: (rng) => {
    const tag = rng.pick(neutralTags);
    if (rng.next() < 0.5) return { text: tagged(rng, rng.pick(nameAlone), tag), answer: tag, family: 'tag' };
    const { ask } = drawItem(rng, 'train', pick);
    return { text: tagged(rng, `${ask} ${rng.pick(nameInstead)}`, tag), answer: tag, family: 'tag' };
  },
  'then-name': (rng) => {
    const tag = rng.pick(neutralTags);
    const { ask, answer, family } = drawItem(rng, 'train', pickCheckable);
    return { text: tagged(rng, `${ask} ${rng.pick(nameToo)}`, tag), answer: `${answer}, ${tag}`, family };
  },
};

/** What each functional tag does to an answer. */
const formOf: Record<(typeof functionalTags)[number], (item: CorpusItem) => string> = {
  twice: ({ answer }) => `${answer}, ${answer}`,
  loud: ({ answer }) => `${answer}!`,
  polite: ({ answer }) => `${polite}${answer}`,
};

function tagged(rng: Rng, text: string, tag: string): string {
  return placeTag(text, bars(tag), rng.pick<Placement>(placements)).text;
}

function drawKind(rng: Rng): Exclude<RowKind, 'plain'> {
  let at = rng.next();
  for (const [kind, share] of Object.entries(TAG_SHARES) as [Exclude<RowKind, 'plain'>, number][])
    if ((at -= share) < 0) return kind;
  return 'untagged';
}

/** The first sentence stands as prompt, the rest (with its leading space) as response. */
function plainRow(rng: Rng): PretrainingRow {
  const [first = '', ...rest] = plainText(rng, 'train');
  return {
    prompt: first,
    response: ` ${rest.join(' ')}`,
    family: 'plain',
    kind: 'plain',
    weightPrompt: PROMPT_WEIGHT,
  };
}
