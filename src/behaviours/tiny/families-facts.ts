/** @file Families whose answers are known facts: about the world, about words, about numbers. */

import { antonyms, listWords, numberWords, pasts, plurals, rhymes } from './facts-words.ts';
import {
  capitals,
  categories,
  colours,
  continents,
  days,
  type Fact,
  homes,
  languages,
  months,
  sounds,
  young,
} from './facts-world.ts';
import { type Family, factFamily, type Slots } from './family.ts';

/** All fact families. */
export const factFamilies: readonly Family[] = [
  factFamily(
    'capital',
    [
      'What is the capital of {x}?',
      'Name the capital of {x}.',
      'Which city is the capital of {x}?',
      '{x}: what is its capital?',
    ],
    about(capitals),
  ),
  factFamily(
    'country',
    [
      'Which country has the capital {x}?',
      '{x} is the capital of which country?',
      'Name the country of the city {x}.',
      'In which country is the city {x}?',
    ],
    about(capitals.map(([country, city]): Fact => [city, country])),
  ),
  factFamily(
    'continent',
    [
      'Which continent is {x} in?',
      '{x} is on which continent?',
      'Name the continent of {x}.',
      'On which continent do you find {x}?',
      '{x} belongs to which continent?',
    ],
    about(continents),
  ),
  factFamily(
    'language',
    [
      'Which language do people speak in {x}?',
      'What is the language of {x}?',
      'Name the main language of {x}.',
      'People in {x} speak which language?',
    ],
    about(languages),
  ),
  factFamily(
    'antonym',
    [
      'What is the opposite of {x}?',
      'Give the opposite of {x}.',
      'Which word means the opposite of {x}?',
      '{x}: what is its opposite?',
    ],
    about(antonyms),
    { weight: 1.5 },
  ),
  factFamily(
    'plural',
    [
      'What is the plural of {x}?',
      'Give the plural of {x}.',
      'One {x}, two what?',
      'Write the word {x} in the plural.',
    ],
    about(plurals),
  ),
  factFamily(
    'past',
    [
      'What is the past tense of {x}?',
      'Give the past tense of {x}.',
      'Today I {x}. What is it in the past?',
      'Write the verb {x} in the past tense.',
    ],
    about(pasts),
  ),
  factFamily(
    'rhyme',
    [
      'Which word rhymes with {x}?',
      'Give a rhyme for {x}.',
      'Name a word that sounds like {x}.',
      'Find a rhyme: {x}.',
    ],
    about(rhymes),
    { weight: 1.5 },
  ),
  factFamily(
    'colour',
    [
      'What colour is {x}?',
      'Name the colour of {x}.',
      'Which colour does {x} have?',
      'Give the usual colour of {x}.',
      'The usual colour of {x} is which?',
    ],
    about(colours),
  ),
  factFamily(
    'sound',
    [
      'What sound does the {x} make?',
      'Name the sound of the {x}.',
      'What does the {x} say?',
      'Which sound comes from the {x}?',
      'The {x} makes which sound?',
    ],
    about(sounds),
  ),
  factFamily(
    'young',
    [
      'What is a young {x} called?',
      'Name the young of the {x}.',
      'What is the baby of the {x}?',
      'Give the word for a baby {x}.',
      'The young of the {x} is called what?',
    ],
    about(young),
  ),
  factFamily(
    'home',
    [
      'Where does the {x} live?',
      'Name the home of the {x}.',
      'What is the home of the {x}?',
      'The {x} lives where?',
      'In what home does the {x} live?',
    ],
    about(homes),
  ),
  factFamily(
    'category',
    [
      'What kind of thing is {x}?',
      'Name the category of {x}.',
      'Which group does {x} belong to?',
      'To which category does {x} belong?',
    ],
    about(categories.flatMap(([category, members]) => members.map((m): Fact => [m, category]))),
  ),
  factFamily(
    'is-a',
    [
      'Is {x} a kind of {y}?',
      'Answer yes or no: {x} is a kind of {y}.',
      'Does {x} belong to the group {y}?',
      'Yes or no: is {x} in the category {y}?',
    ],
    isA(),
    { weight: 2 },
  ),
  factFamily(
    'first-letter',
    [
      'What is the first letter of {x}?',
      'Which letter does {x} begin with?',
      'Name the first letter of the word {x}.',
      'The word {x} starts with which letter?',
    ],
    listWords.map((x) => ({ slots: { x }, answer: x.charAt(0) })),
    { weight: 1.5 },
  ),
  factFamily(
    'words-to-digits',
    ['Write {x} in digits.', 'Which number is {x}?', 'Give the digits for {x}.', 'What is {x} as a number?'],
    about(numberWords.map(([digits, word]): Fact => [word, digits])),
    { weight: 1.2 },
  ),
  factFamily(
    'digits-to-words',
    [
      'Write {x} in words.',
      'How do you say {x} in words?',
      'Give the words for {x}.',
      'What is the number {x} in words?',
    ],
    about(numberWords),
    { weight: 1.2 },
  ),
  factFamily(
    'parity',
    [
      'Is {x} odd or even?',
      'Odd or even: {x}?',
      'Tell me if {x} is odd or even.',
      'The number {x}: odd or even?',
    ],
    about(numberWords.map(([n]): Fact => [n, Number(n) % 2 === 0 ? 'even' : 'odd'])),
    { weight: 1.2 },
  ),
  factFamily(
    'next-number',
    [
      'Which number comes {dir} {x}?',
      'Name the number {dir} {x}.',
      'What number is just {dir} {x}?',
      'Count: what is {dir} {x}?',
    ],
    neighbours(
      numberWords.map(([n]) => n),
      false,
    ),
    { weight: 2.5 },
  ),
  factFamily(
    'month',
    [
      'Which month comes {dir} {x}?',
      'Name the month {dir} {x}.',
      'What month is just {dir} {x}?',
      'Give the month that comes {dir} {x}.',
      'The month {dir} {x} is which?',
    ],
    neighbours(months, true),
  ),
  factFamily(
    'day',
    [
      'Which day comes {dir} {x}?',
      'Name the day {dir} {x}.',
      'What day is just {dir} {x}?',
      'Give the day that comes {dir} {x}.',
      'The day {dir} {x} is which?',
    ],
    neighbours(days, true),
  ),
];

/** Facts with the one slot `{x}`. */
function about(facts: readonly Fact[]): { slots: Slots; answer: string }[] {
  return facts.map(([x, answer]) => ({ slots: { x }, answer }));
}

/** What comes after and before each item of a sequence that wraps round or not. */
function neighbours(sequence: readonly string[], wraps: boolean): { slots: Slots; answer: string }[] {
  const n = sequence.length;
  return sequence.flatMap((x, i) =>
    (
      [
        ['after', i + 1],
        ['before', i - 1],
      ] as const
    ).flatMap(([dir, j]) => {
      const answer = wraps ? sequence[(j + n) % n] : sequence[j];
      return answer === undefined ? [] : [{ slots: { x, dir }, answer }];
    }),
  );
}

/** Each member with its own category (yes) and with one other (no), the other walking through the list. */
function isA(): { slots: Slots; answer: string }[] {
  const names = categories.map(([category]) => category);
  return categories.flatMap(([category, members], c) =>
    members.flatMap((x, m) => {
      const other = names[(c + 1 + (m % (names.length - 1))) % names.length] as string;
      return [
        { slots: { x, y: category }, answer: 'yes' },
        { slots: { x, y: other }, answer: 'no' },
      ];
    }),
  );
}
