/** @file Text without template or tag: short pieces for pretraining, and longer ones that only evaluation sees. */
import type { Rng } from '../../base/index.ts';
import { bucket } from '../words.ts';
import {
  moods,
  names,
  numberWords,
  places,
  storyAdjectives,
  storyAnimals,
  storyThings,
} from './facts-words.ts';
import { colours, days, homes, months } from './facts-world.ts';
import { fill, literal, type Slots } from './family.ts';

const sentences = [
  'One day the {adjective} {animal} went to the {place}.',
  'The {animal} was {mood} and sat near the {thing}.',
  '{name} saw the {adjective} {animal} in the {place}.',
  '{name} and {name2} walked to the {place} on {day}.',
  'They found {n} {adjective} cups and one {thing}.',
  'In {month} the {place} is quiet.',
  '"Where is the {thing}?" said {name}.',
  '"Look at the {animal}!" said {name}; {name2} was {mood}.',
  'It was a well-known {thing} from the {place}.',
  'The {resident} lives in the {home}.',
  "{name}'s {thing} was {adjective}.",
  'The {thing} of {name} is {adjective}, but the {thing2} is {adjective2}.',
  'I could not find any information on the {animal}.',
  'In the end all were {mood}.',
  'Then the {animal} ran back to the {place}.',
];

/** Every text that may occur here, for the vocabulary. */
export const plainTexts: readonly string[] = [
  ...sentences.map(literal),
  ...storyAnimals,
  ...storyThings,
  ...storyAdjectives,
  ...moods,
  ...names,
  ...places,
  ...homes.flat(),
  ...colours.flat(),
  ...months,
  ...days,
  ...numberWords.map(([n]) => n),
];

/** Two or three sentences; one in eight, chosen by hash, belongs to `heldout`. */
export function plainText(rng: Rng, split: 'train' | 'heldout'): string[] {
  for (;;) {
    const text = drawSentences(rng, 2 + rng.int(2));
    if ((bucket(text.join(' '), 8) === 0) === (split === 'heldout')) return text;
  }
}

/** A story of four to six sentences about one cast. Pretraining has none as long. */
export function longStory(rng: Rng): string {
  return drawSentences(rng, 4 + rng.int(3)).join(' ');
}

/** `n` different sentence patterns about the same people, animals and things. */
function drawSentences(rng: Rng, n: number): string[] {
  const slots = cast(rng);
  return rng
    .shuffle(sentences)
    .slice(0, n)
    .map((sentence) => fill(sentence, slots));
}

function cast(rng: Rng): Slots {
  const [name = '', name2 = ''] = rng.shuffle(names);
  const [thing = '', thing2 = ''] = rng.shuffle(storyThings);
  const [adjective = '', adjective2 = ''] = rng.shuffle(storyAdjectives);
  const [resident, home] = rng.pick(homes);
  return {
    name,
    name2,
    thing,
    thing2,
    adjective,
    adjective2,
    resident,
    home,
    animal: rng.pick(storyAnimals),
    place: rng.pick(places),
    mood: rng.pick(moods),
    month: rng.pick(months),
    day: rng.pick(days),
    n: String(2 + rng.int(98)),
  };
}
