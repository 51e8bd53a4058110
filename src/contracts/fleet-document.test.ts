import { describe, expect, it } from 'vitest';
import { parseFleet, parseRecipe } from './index.ts';

const HEAD = 'name: f\nmodels: { source: a }\n';
const fleetOf = (text: string, set: string[] = []) => parseFleet([{ file: 'f.yaml', text }], set);

function issueOf(text: string): string {
  try {
    fleetOf(text);
  } catch (error) {
    return (error as Error).message;
  }
  return 'valid';
}

describe('a fleet file', () => {
  it('is an ordinary experiment for every target: what stands for all, and what that target says on top', () => {
    const fleet = fleetOf(
      `${HEAD}sweep: { prompts: 9 }\ntargets:\n  one: b\n  two:\n    models: { target: c, adapters: { target: d } }\n    finetune: { target: false }\n    sweep: { draws: 3 }\n`,
      ['transfer.prompts=7'],
    );
    expect(fleet).toMatchObject({ name: 'f', source: 'a' });
    expect(fleet.targets.map(({ name, recipe }) => [name, recipe.name, recipe.models.target])).toEqual([
      ['one', 'f-one', 'b'],
      ['two', 'f-two', 'c'],
    ]);
    const [one, two] = fleet.targets;
    expect([one?.recipe.sweep.draws, two?.recipe.sweep.draws]).toEqual([1, 3]);
    expect([one?.recipe.sweep.prompts, two?.recipe.sweep.prompts]).toEqual([9, 9]);
    expect([one?.recipe.transfer, two?.recipe.transfer]).toMatchObject([{ prompts: 7 }, { prompts: 7 }]);
    expect(two?.recipe.models.adapters).toEqual({ target: 'd' });
    // What its manifest keeps can be run again by itself.
    for (const target of fleet.targets)
      expect(parseRecipe([{ file: 'given.yaml', text: JSON.stringify(target.given) }]).recipe).toEqual(
        target.recipe,
      );
  });

  it('takes targets of the file it extends, and changes them by name', () => {
    const base = {
      file: 'base.yaml',
      text: `${HEAD}targets:\n  one: b\n  two: { models: { target: c }, seed: 3 }\n`,
    };
    const child = {
      file: 'child.yaml',
      text: 'extends: base.yaml\ntargets:\n  two: { seed: 5 }\n  three: d\n',
    };
    const { targets } = parseFleet([child, base]);
    expect(targets.map(({ name, recipe }) => [name, recipe.models.target, recipe.seed])).toEqual([
      ['one', 'b', 17],
      ['two', 'c', 5],
      ['three', 'd', 17],
    ]);
  });

  it('does not take the target of the experiment it extends for one of its own', () => {
    const base = { file: 'base.yaml', text: 'models: { source: a, target: b }\n' };
    expect(() => parseFleet([{ file: 'f.yaml', text: 'targets:\n  one: { seed: 3 }\n' }, base])).toThrow(
      /^f\.yaml:2:3: targets\.one: wanted its model/,
    );
  });

  it('says line and column of what is wrong in a target', () => {
    expect(issueOf(`${HEAD}targets:\n  one:\n    models: { target: b }\n    sweep: { promts: 3 }\n`)).toBe(
      'f.yaml:6:14: unknown key "promts" in sweep; did you mean "prompts"?',
    );
    expect(issueOf(`${HEAD}targets:\n  one: b\n  two: 3\n`)).toBe(
      'f.yaml:5:3: targets.two: wanted a model, or keys of an experiment below it',
    );
  });

  it.each([
    ['targets: {}\n', /^f\.yaml:3:1: targets: wanted the models that need the fix/],
    ['', /targets: wanted the models that need the fix/],
    ['targets: [b, c]\n', /^f\.yaml:3:1: targets: wanted `NAME: MODEL` lines/],
    ['targets:\n  store: b\n', /^f\.yaml:4:3: targets\.store: wanted a name of letters/],
    ['targets:\n  ../x: b\n', /targets\.\.\.\/x: wanted a name of letters/],
    [
      'targets:\n  one: b\n  One: c\n',
      /^f\.yaml:5:3: targets\.One: another target has this name in other letters/,
    ],
    [
      'targets:\n  one: { models: { target: b, source: c } }\n',
      /^f\.yaml:4:31: targets\.one\.models\.source: is one for all targets/,
    ],
    ['targets:\n  one: { models: { target: b }, name: x }\n', /targets\.one\.name: is one for all targets/],
  ])('refuses %j', (text, message) => {
    expect(issueOf(HEAD + text)).toMatch(message);
  });

  it('is not taken for an experiment', () => {
    expect(() => parseRecipe([{ file: 'f.yaml', text: `${HEAD}targets: { one: b }\n` }])).toThrow(
      'f.yaml:3:1: this is a fleet, one source and many targets: run it with `crosspatch fleet`',
    );
  });
});
