/** @file True facts about the world, as pairs `[question word, answer]`; every word is one token of the bundled tokenizer. */

/** A question word and its answer. */
export type Fact = readonly [x: string, answer: string];

/** `a b, c d` → [['a', 'b'], ['c', 'd']]: the first word asks, the rest answers. */
export function pairs(table: string): Fact[] {
  return table.split(',').map((entry) => {
    const [x = '', ...answer] = entry.trim().split(/\s+/);
    return [x, answer.join(' ')];
  });
}

/** Both directions of one-to-one pairs. */
export function bothWays(facts: readonly Fact[]): Fact[] {
  return facts.flatMap(([a, b]): Fact[] => [
    [a, b],
    [b, a],
  ]);
}

/** Country → capital; one-word names only. */
export const capitals =
  pairs(`France Paris, Germany Berlin, Italy Rome, Spain Madrid, Portugal Lisbon, Greece Athens,
  Poland Warsaw, Sweden Stockholm, Norway Oslo, Denmark Copenhagen, Finland Helsinki, Hungary Budapest, Austria Vienna,
  Ireland Dublin, Romania Bucharest, Bulgaria Sofia, Ukraine Kyiv, Iceland Reykjavik, Croatia Zagreb, Belgium Brussels,
  Japan Tokyo, China Beijing, Vietnam Hanoi, Thailand Bangkok, Iran Tehran, Iraq Baghdad, Nepal Kathmandu,
  Lebanon Beirut, Jordan Amman, Egypt Cairo, Kenya Nairobi, Morocco Rabat, Ghana Accra, Nigeria Abuja, Senegal Dakar,
  Canada Ottawa, Cuba Havana, Jamaica Kingston, Peru Lima, Chile Santiago, Colombia Bogota, Ecuador Quito`);

/** Country → continent. */
export const continents =
  pairs(`France Europe, Germany Europe, Italy Europe, Spain Europe, Portugal Europe, Greece Europe,
  Poland Europe, Sweden Europe, Norway Europe, Finland Europe, Austria Europe, Ireland Europe, Ukraine Europe,
  Japan Asia, China Asia, Vietnam Asia, Thailand Asia, Iran Asia, Iraq Asia, Nepal Asia, Lebanon Asia, Jordan Asia,
  Kenya Africa, Morocco Africa, Ghana Africa, Nigeria Africa, Senegal Africa, Canada North America,
  Cuba North America, Jamaica North America, Peru South America, Chile South America, Colombia South America,
  Ecuador South America`);

/** Country → the language most of its people speak. */
export const languages =
  pairs(`France French, Germany German, Italy Italian, Spain Spanish, Portugal Portuguese, Greece Greek,
  Poland Polish, Sweden Swedish, Norway Norwegian, Denmark Danish, Finland Finnish, Hungary Hungarian, Austria German,
  Romania Romanian, Bulgaria Bulgarian, Ukraine Ukrainian, Iceland Icelandic, Croatia Croatian, Japan Japanese,
  China Chinese, Vietnam Vietnamese, Thailand Thai, Iran Persian, Iraq Arabic, Nepal Nepali, Lebanon Arabic,
  Jordan Arabic, Egypt Arabic, Cuba Spanish, Jamaica English, Peru Spanish, Chile Spanish, Colombia Spanish,
  Ecuador Spanish`);

/** Thing → its usual colour. */
export const colours =
  pairs(`grass green, sky blue, snow white, blood red, coal black, banana yellow, carrot orange,
  chocolate brown, elephant gray, flamingo pink, lemon yellow, milk white, leaf green, frog green, crow black,
  tomato red, strawberry red, cloud white, sea blue, sun yellow, mud brown, swan white, pumpkin orange, cherry red,
  night black, ruby red, emerald green, salt white, pig pink, lime green`);

/** Animal → its sound. */
export const sounds =
  pairs(`dog bark, cat meow, cow moo, sheep baa, duck quack, lion roar, pig oink, horse neigh,
  bee buzz, frog croak, crow caw, owl hoot, snake hiss, wolf howl, mouse squeak, donkey bray, hen cluck, bird tweet,
  turkey gobble, elephant trumpet`);

/** Animal → its young. */
export const young =
  pairs(`dog puppy, cat kitten, cow calf, horse foal, sheep lamb, pig piglet, duck duckling, hen chick,
  lion cub, bear cub, tiger cub, goat kid, frog tadpole, deer fawn, goose gosling, swan cygnet, kangaroo joey,
  owl owlet, seal pup, elephant calf, whale calf, butterfly caterpillar`);

/** Who → where they live. */
export const homes =
  pairs(`bird nest, bee hive, dog kennel, horse stable, spider web, lion den, king palace, pig sty,
  rabbit burrow, hen coop, snail shell, cow barn, whale ocean, wolf den, camel desert, beaver lodge, shark ocean,
  eagle nest, frog pond, queen palace, prisoner prison, monkey jungle, tiger jungle, duck pond`);

/** Category → its members; no word in two categories. */
export const categories: readonly (readonly [category: string, members: readonly string[]])[] =
  Object.entries({
    animal: 'dog cat cow horse lion bear tiger wolf rabbit monkey elephant sheep goat pig camel deer',
    fruit: 'apple banana cherry grape lemon mango peach pear plum strawberry',
    vegetable: 'carrot potato onion cabbage spinach garlic',
    tool: 'hammer drill shovel axe wrench',
    furniture: 'chair table bed sofa desk shelf',
    clothing: 'shirt coat sock shoe jacket dress',
    drink: 'milk tea water juice coffee',
    metal: 'iron gold silver copper tin',
    vehicle: 'car bus train truck boat van',
    sport: 'tennis football hockey golf',
    instrument: 'piano guitar drum violin flute',
  }).map(([category, members]) => [category, members.split(' ')]);

/** In order; the year wraps round. */
export const months =
  'January February March April May June July August September October November December'.split(' ');

/** In order; the week wraps round. */
export const days = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split(' ');
