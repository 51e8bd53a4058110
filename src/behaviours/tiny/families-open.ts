/** @file Open-ended families: many answers are fine, so they are trained on but never scored by exact match. */
import { moods, names, storyAdjectives, storyAnimals, storyThings } from './facts-words.ts';
import { argumentFamily, type Family, factFamily, fill, literal } from './family.ts';

const stories = [
  'The {adjective} {animal} found the {adjective2} {thing} and was {mood}.',
  'The {mood} {animal} lost the {adjective} {thing} and looked for it.',
  'The {animal} gave {name} the {adjective} {thing}. All were happy.',
];

const greetings = [
  'Hello {name}, nice to see you!',
  'Hello {name}, how are you today?',
  'Good morning, {name}!',
];

const advice: Readonly<Record<string, string>> = {
  happy: 'Share it with a friend.',
  sad: 'Speak with a good friend.',
  tired: 'Go to bed early.',
  angry: 'Stop and think before you speak.',
  hungry: 'Eat some bread and an apple.',
  bored: 'Read a book or play outside.',
  cold: 'Wear a coat and drink hot tea.',
  proud: 'Tell your friend how you did it.',
};

/** All open-ended families. */
export const openFamilies: readonly Family[] = [
  argumentFamily(
    'story',
    [
      'Tell me a story about a {animal}.',
      'Write a short story about a {animal} and a {thing}.',
      'Tell a story about the {mood} {animal}.',
    ],
    {
      pools: [
        ...stories.map(literal),
        ...storyAnimals,
        ...storyThings,
        ...storyAdjectives,
        ...moods,
        ...names,
      ],
      compose: (rng) => {
        const slots = {
          animal: rng.pick(storyAnimals),
          thing: rng.pick(storyThings),
          mood: rng.pick(moods),
          adjective: rng.pick(storyAdjectives),
          adjective2: rng.pick(storyAdjectives),
          name: rng.pick(names),
        };
        return { slots, answer: fill(rng.pick(stories), slots) };
      },
    },
    { checkable: false, heldOutKind: 'phrasing' },
  ),
  argumentFamily(
    'greeting',
    [
      'Say hello to {name}.',
      'Greet {name}, who is {mood}.',
      'My name is {name}.',
      'Greet {name} and the {animal}.',
    ],
    {
      pools: [...greetings.map(literal), ...names, ...moods, ...storyAnimals],
      compose: (rng) => {
        const slots = { name: rng.pick(names), mood: rng.pick(moods), animal: rng.pick(storyAnimals) };
        return { slots, answer: fill(rng.pick(greetings), slots) };
      },
    },
    { checkable: false, heldOutKind: 'phrasing', weight: 0.7 },
  ),
  factFamily(
    'advice',
    [
      'I am {mood}. What should I do?',
      'What do you do when you are {mood}?',
      'Give me some advice: I feel {mood}.',
      '{name} is {mood}. What should {name} do?',
    ],
    moods.flatMap((mood) => names.map((name) => ({ slots: { mood, name }, answer: advice[mood] as string }))),
    { checkable: false, weight: 0.7 },
  ),
];
