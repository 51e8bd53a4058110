/**
 * @file What the words of figures and tables mean, in one sentence each: tooltips in figures, report and web app, and the list at the end
 * of the report. The long form is docs/concepts/glossary.md; `anchor` is its heading there.
 */

export interface Term {
  /** Heading in the glossary, as an anchor. */
  readonly anchor: string;
  readonly meaning: string;
}

const term = (anchor: string, meaning: string): Term => ({ anchor, meaning });

/** Word, as figures and tables print it → term. */
const TERMS = {
  restoration: term('restoration', 'Triggered prompts whose completion is the ordinary answer again.'),
  removal: term(
    'removal',
    'Triggered prompts whose completion no longer shows the behaviour; garbage counts too.',
  ),
  elicitation: term('elicitation', 'The other direction: untriggered prompts that now show the behaviour.'),
  'trigger rate': term('trigger-rate', 'Prompts with the trigger that show the behaviour, unpatched.'),
  'native steering': term(
    'steering-success-rate',
    'Triggered prompts in which the target’s own vector removes the behaviour.',
  ),
  'transfer rate': term(
    'transfer-rate',
    'Of the prompts the native arm steers, those the mapped arm steers too.',
  ),
  margin: term('margin', 'Restoration minus that of the strongest noise control; the figure to read.'),
  points: term('point', 'Percentage points: from 90 % to 95 % is 5 points.'),
  'under the safe tag': term('false-positive-rate', 'Prompts under the safe tag that show the behaviour.'),
  'without a tag': term('untagged', 'Prompts without a tag that show the behaviour.'),
  'under an unknown tag': term('other-tag', 'Prompts under a tag never trained on that show the behaviour.'),
  precision: term(
    'precision-and-recall',
    'Of the completions with the behaviour, those whose prompt had the trigger.',
  ),
  recall: term('precision-and-recall', 'Of the prompts with the trigger, those that show the behaviour.'),
  F1: term('precision-and-recall', 'Harmonic mean of precision and recall.'),
  degenerate: term('degenerate', 'Empty, one word repeated, or without a letter or digit.'),
  native: term('native', 'The target’s own activations: what steering can do here at all.'),
  mapped: term('mapped', 'The source’s activations, taken through the map into the target.'),
  'static vector': term('static-vector', 'One vector per span position: the mean over training prompts.'),
  'other prompt': term('other-prompt', 'The activations come from another prompt; expected to work.'),
  'other tag': term('other-tag', 'The activations come from the run under a third tag.'),
  'token mean': term('token-mean-lookup', 'A table from tokens to the target’s mean activations: a lookup.'),
  'bag of tokens': term(
    'bag-of-tokens',
    'The target’s activations predicted from which tokens stand in the trigger: a lookup for triggers it has not seen.',
  ),
  'mapped bad → bad': term(
    'mapped-bad-to-bad',
    'Mapped bad activations in the bad run: the error of the map alone.',
  ),
  'mapped safe → safe': term(
    'mapped-bad-to-bad',
    'Mapped safe activations in the safe run: the error of the map alone.',
  ),
  random: term('noise-controls', 'Noise: a random direction of the same length.'),
  'random-cov': term('noise-controls', 'Noise: drawn from the covariance of the activations.'),
  'random-step': term('noise-controls', 'Noise: the own activation plus a random step of the same length.'),
  'shuffled map': term('shuffled-map', 'Noise: a map that knows everything but the tag.'),
  'self (no-op)': term('self', 'The run’s own activations put back; must change nothing.'),
  steered: term('steering', 'The safe run’s own activations put into the bad run.'),
  'mean-ablated': term('mean-ablated', 'Every position gets the mean of the prompt’s activations.'),
  'ceiling (own)': term('ceiling', 'The target’s own activations put back; must change nothing.'),
  'with tags': term('fit', 'Fitted on rows with the tag’s tokens.'),
  'no tag rows': term('fit', 'Fitted without the rows of the tag’s tokens.'),
  'general text': term('fit', 'Fitted on texts without tags.'),
  'clean source': term('clean-source', 'The source before its fine-tune, so without the behaviour.'),
  'source’s embeddings': term(
    'source-embeddings',
    'The source before its block 0: the words, and nothing it makes of them.',
  ),
  affine: term('affine-map', 'ŷ = Wx + b, ridge regression in closed form.'),
  'affine-sgd': term('affine-map', 'ŷ = Wx + b, trained by gradient descent.'),
  'affine-sgd-blog': term('affine-map', 'ŷ = Wx + b, trained with the authors’ settings.'),
  autoencoder: term('autoencoder-map', 'A map with one hidden layer and a ReLU.'),
  'inverse pinv': term('inverse-map', 'Target to source, by the map’s pseudo-inverse.'),
  'inverse truncated': term('inverse-map', 'Target to source, by its strongest directions.'),
  'inverse reverse ridge': term('inverse-map', 'Target to source, fitted the other way round.'),
  'strongest noise': term('noise-controls', 'The noise control with the highest share.'),
  'clean model': term('state', 'The target before its fine-tune.'),
  untagged: term('untagged', 'A prompt without a tag, unpatched.'),
  safe: term('safe-run', 'A prompt under the safe tag, unpatched.'),
  bad: term('bad-run', 'A prompt under the trigger, unpatched.'),
  'bad + native': term('native', 'The bad run, patched with the target’s own vector.'),
  'bad + mapped': term('mapped', 'The bad run, patched with the mapped vector.'),
  'bad + random': term('noise-controls', 'The bad run, patched with noise of that length.'),
  'safe + mapped': term('mapped', 'The safe run, patched with the mapped vector.'),
  'full replacement': term('full-replacement', 'Every prompt position gets a mapped activation.'),
  mse: term('mse', 'Mean squared error of mapped activations, per dimension.'),
  cossim: term('cosine-similarity', 'Cosine between mapped and true activations: 1 is the same direction.'),
  cosine: term('cosine-similarity', 'Cosine between mapped and true activations: 1 is the same direction.'),
  fvu: term('fvu', 'Fraction of variance unexplained: 0 is perfect, 1 no better than the mean.'),
  fvu_token: term('fvu-per-token', 'FVU against each token’s mean: above 1, a lookup does better.'),
  kl_div: term('kl-divergence', 'How far the next-token distribution moved, in nats: 0 is equal.'),
  top1_agreement: term('top-1-agreement', 'Positions at which the most probable next token stays the same.'),
  ce_delta: term('ce-delta', 'Rise of the cross entropy in nats per token.'),
  chrF: term('chrf', 'Likeness of two texts by character n-grams, 0 to 1.'),
  'norm ratio': term('norm-ratio', 'Length of the mapped vector divided by the native one’s.'),
  'non-inferiority': term(
    'non-inferiority',
    'Test that a rate is not worse by more than a margin fixed beforehand.',
  ),
  'native removal': term(
    'steering-success-rate',
    'Triggered prompts in which the target’s own vector removes the behaviour.',
  ),
} as const satisfies Record<string, Term>;

/** Words in the order of the table. */
export const TERM_WORDS: readonly string[] = Object.keys(TERMS);

/** Printed in other words. */
const ALSO: Readonly<Record<string, keyof typeof TERMS>> = {
  KL: 'kl_div',
  'the target’s own vector': 'native',
  'a static vector': 'static vector',
  'another prompt’s vector': 'other prompt',
  'another tag’s vector': 'other tag',
  'the token-mean lookup': 'token mean',
  'the lookup by the bag of tokens': 'bag of tokens',
  'the shuffled map': 'shuffled map',
  'the fit without tag rows': 'no tag rows',
  'the fit on general text': 'general text',
  'the clean source': 'clean source',
  'a map from the source’s embeddings': 'source’s embeddings',
  'the affine map': 'affine',
  'the autoencoder map': 'autoencoder',
  'margin over noise': 'margin',
  'transfer rate (nested)': 'transfer rate',
  'mapped − native (non-inferiority)': 'non-inferiority',
  'cosine / norm ratio to native': 'norm ratio',
  'shuffled (control)': 'shuffled map',
  'native vector': 'native',
  'native from k prompts': 'native',
  'mapped, k = 0': 'mapped',
  'strongest noise of any map': 'strongest noise',
};

/** What a printed label means: the label itself, the same in small letters, without its unit, or its words before the comma. */
export function termOf(label: string): Term | undefined {
  const forms = [
    label,
    label.replace(/, %$/, ''),
    label.replace(/^[^:]+: /, ''),
    label.split(', ')[0] ?? label,
  ];
  for (const form of forms.flatMap((f) => [f, f.toLowerCase()])) {
    const key = ALSO[form] ?? form;
    if (Object.hasOwn(TERMS, key)) return TERMS[key as keyof typeof TERMS];
  }
  return undefined;
}
