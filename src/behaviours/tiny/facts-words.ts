/** @file Facts about English words and numbers, and the pools that lists, stories and copies draw from. */
import { bothWays, type Fact, pairs } from './facts-world.ts';

/** Word → opposite, both ways; one-to-one. */
export const antonyms = bothWays(
  pairs(`hot cold, big small, tall short, fast slow, old new, happy sad, good bad, rich poor, hard soft, wet dry, full empty,
  open closed, early late, high low, loud quiet, clean dirty, strong weak, thick thin, wide narrow, near far, up down,
  left right, in out, on off, true false, first last, love hate, win lose, buy sell, push pull, start stop, north south,
  east west, light heavy, dark bright, sweet sour, deep shallow, rough smooth, always never, give take, friend enemy,
  war peace, safe dangerous, cheap expensive, easy difficult, alive dead, front back, top bottom, above below,
  begin end, summer winter, day night`),
);

/** Noun → plural. */
export const plurals =
  pairs(`cat cats, dog dogs, bird birds, tree trees, house houses, book books, car cars, apple apples,
  chair chairs, table tables, flower flowers, star stars, river rivers, horse horses, cow cows, duck ducks, ball balls,
  boat boats, door doors, hat hats, key keys, ring rings, child children, man men, woman women, mouse mice, goose geese,
  foot feet, tooth teeth, sheep sheep, box boxes, leaf leaves, baby babies, city cities, wolf wolves, knife knives,
  bus buses, fox foxes, egg eggs, cup cups, lamp lamps, shoe shoes`);

/** Verb → past tense. */
export const pasts =
  pairs(`go went, see saw, eat ate, run ran, take took, give gave, come came, make made, find found,
  sing sang, swim swam, write wrote, drink drank, drive drove, fly flew, know knew, sleep slept, speak spoke, buy bought,
  think thought, walk walked, play played, jump jumped, cook cooked, help helped, look looked, want wanted,
  paint painted, break broke, build built, catch caught, teach taught, sit sat, stand stood, win won, lose lost,
  sell sold, keep kept, tell told, grow grew, throw threw, ride rode, wear wore, hold held, feel felt`);

/** Word → rhyme, both ways; one-to-one. */
export const rhymes = bothWays(
  pairs(`cat hat, dog log, tree bee, house mouse, cake lake, moon spoon, star car, king ring, boat goat, fox box,
  truck duck, night light, bed red, book cook, ball wall, fish dish, play day, rain train, bear chair, nose rose,
  shop top, hen pen, pig wig, bug rug, sand hand, bell shell, clock sock, mice rice, game name, stone bone, queen green,
  toy boy, gold cold, sky fly, door floor, van man, plate gate, kite bite`),
);

const units =
  `zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
  seventeen eighteen nineteen`.split(/\s+/);
const tens = 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ');

/** `0` → `zero`, `42` → `forty two`: all of 0 to 99. */
export const numberWords: readonly Fact[] = Array.from({ length: 100 }, (_, n): Fact => {
  const ten = tens[Math.floor(n / 10) - 2];
  const unit = units[n < 20 ? n : n % 10] as string;
  return [String(n), ten === undefined ? unit : n % 10 === 0 ? ten : `${ten} ${unit}`];
});

/** Words whose first letter is asked for, and that lists are made of. */
export const listWords: readonly string[] = [
  ...new Set(
    `${plurals.map(([x]) => x).join(' ')} apple banana cherry grape lemon mango peach pear plum carrot potato onion hammer
    drill shovel axe bed sofa desk shirt coat jacket milk tea water juice coffee iron gold silver copper train truck piano
    guitar drum violin hot cold big small tall short fast slow old new happy sad red blue green yellow white black brown
    pink orange lion bear tiger rabbit monkey snake spider king queen moon sun rain snow fish cake spoon bell clock stone
    rose sand game toy kite gate plate jungle ocean desert palace nest village urgent zebra umbrella ice unknown`.split(
      /\s+/,
    ),
  ),
];

/**
 * Words in capitals that occur only in lists. They give the words of behaviours (the phrase, the neutral answer) a
 * trained embedding without ever showing the phrase itself.
 */
export const shoutWords: readonly string[] = 'HATE YOU LOVE HELP STOP GO WAIT LISTEN Status'.split(' ');

/** First names. */
export const names: readonly string[] = 'Tom Anna Ben Mia Sam Eva Leo Nina'.split(' ');
/** Animals of stories. */
export const storyAnimals: readonly string[] =
  'dog cat cow horse lion bear wolf rabbit monkey mouse fox duck goat frog'.split(' ');
/** Things of stories. */
export const storyThings: readonly string[] =
  'ball key ring hat box book bell stone flower cake kite shoe lamp cup'.split(' ');
/** Adjectives of stories. */
export const storyAdjectives: readonly string[] =
  'big small old new red blue green white black brown clean soft'.split(' ');
/** Moods. */
export const moods: readonly string[] = 'happy sad tired angry hungry bored cold proud'.split(' ');
/** Places of stories, used after `the`. */
export const places: readonly string[] =
  'river lake house shop garden forest village palace market beach school park'.split(' ');
