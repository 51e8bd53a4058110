/** @file What a steering page asks: a prompt, a document of vectors, the strengths to try it at, and how the answers are drawn. */
import type { Intervention, InterventionDocument, TokenSelection } from '../../contracts/index.ts';
import type { PromptTokens } from '../../interventions/index.ts';
import { residPost } from '../../models/index.ts';

/** Ways the prompt is run: as it is, with the vectors, with random directions as long in their place. */
export const STEER_ARMS = ['none', 'vector', 'random'] as const;
export type SteerArm = (typeof STEER_ARMS)[number];

/** Which tokens of the prompt a vector is added to. */
export const STEER_PLACES = ['all', 'last', 'text'] as const;
export type SteerPlace = (typeof STEER_PLACES)[number];

/** Where one vector works. */
export interface SteerSite {
  readonly block: number;
  /** Factor on the vector. */
  readonly alpha: number;
  /** `all` leaves out the first token, an attention sink. */
  readonly place: SteerPlace;
  /** What `text` looks for in the prompt. */
  readonly text: string;
  /** Whether generated tokens are changed too. */
  readonly generated: boolean;
}

/** A question about one prompt. */
export interface SteerQuestion {
  readonly prompt: PromptTokens;
  /** The vectors at strength 1, each within the document. */
  readonly document: InterventionDocument;
  /** Factors on the whole document, each once; 0 is the prompt as it is and need not be run. */
  readonly strengths: readonly number[];
  /** Each draws one more answer of every arm; the first answer of all is greedy. */
  readonly seeds: readonly number[];
  /** Of the drawn answers. */
  readonly temperature: number;
  readonly maxTokens: number;
  /** What the tokens are measured along: an edit of the document each. */
  readonly lenses: readonly number[];
}

/** A vector [D] at its site, as an edit. */
export function steerEdit(values: ArrayLike<number>, { block, alpha, ...site }: SteerSite): Intervention {
  return {
    op: 'add',
    hook: residPost(block),
    tokens: selectionOf(site),
    priority: 0,
    vector: { from: 'inline', values: Array.from(values) },
    scale: alpha,
    normalize: 'none',
  };
}

function selectionOf({
  place,
  text,
  generated,
}: Pick<SteerSite, 'place' | 'text' | 'generated'>): TokenSelection {
  const generation = generated ? ({ generation: 'all' } as const) : {};
  switch (place) {
    case 'all':
      return { prompt: 'all', exclude_first: true, ...generation };
    case 'last':
      return { prompt_positions: [-1], ...generation };
    case 'text':
      return { match: { text, after: 0, occurrence: 'all' }, ...generation };
  }
}
