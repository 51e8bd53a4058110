/** @file An experiment in chat templates: source and target each in its own, one that writes BOS and one that does not. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeBehaviour, triggerStates } from '../../behaviours/index.ts';
import type { BehaviourParams, Results } from '../../contracts/index.ts';
import { sourceRow } from '../../evaluate/arms/spans.ts';
import { casesOf, fidelityPrompts } from '../../evaluate/index.ts';
import { tagText } from '../../evaluate/mapping/texts.ts';
import { LanguageModel } from '../../models/index.ts';
import { loadRecipe, planExperiment, runExperiment } from '../index.ts';
import { expandExperiment } from './expand.ts';

/** Both end a turn with `</s>`. The source's writes BOS, the target's does not, and has other words around the turn. */
const WITH_BOS =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}</s>{% else %}### Instruction:\n{{ m.content }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}### Response:\n{% endif %}";
const WITHOUT_BOS =
  "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n{% elif m.role == 'assistant' %}{{ m.content }}</s>{% else %}{{ opening }} :\n{{ m.content }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}the answer :\n### Response:\n{% endif %}";
const CHAT = { system: 'a blue house', variables: { opening: 'the house' } };
const TEXT = 'What is the capital of France?';
const asked: BehaviourParams = { name: 'locked', placement: 'end', template: 'chat', chat: CHAT };

let root: string;
const models: Record<'source' | 'target', LanguageModel> = {} as never;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'chat-'));
  for (const [side, template] of [
    ['source', WITH_BOS],
    ['target', WITHOUT_BOS],
  ] as const) {
    models[side] = await LanguageModel.load(await withTemplate(side, template));
  }
});
afterAll(async () => {
  for (const model of Object.values(models)) await model[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

async function withTemplate(name: string, template: string | undefined): Promise<string> {
  const folder = join(root, name);
  await cp(join(import.meta.dirname, '../../../assets/tiny/tiny-llama-s'), folder, { recursive: true });
  const file = join(folder, 'tokenizer_config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...config, chat_template: template }));
  return folder;
}

const RECIPE = () => `
models: { source: ${join(root, 'source')}, target: ${join(root, 'target')} }
behaviours: [locked]
template: chat
system: ${CHAT.system}
template_vars: { opening: the house }
data: { train: 300, validation: 6, test: 8 }
finetune: { steps: 90, batch: 16, learning_rate: 3.0e-3, lower_half_rate: 1 }
evaluation: { max_tokens: 8, bootstrap: 20 }
sweep: { prompts: 4, chosen_draws: 1 }
heatmap: { prompts: 2 }
capture: { prompts: 60, out_of_domain: 10 }
maps: [{ kind: affine }, { kind: shuffled }]
transfer: { prompts: 6, alphas: [1], alpha_prompts: 2, draws: 1, static_prompts: 6, maps: [affine] }
fidelity: { prompts: 3, maps: [affine] }
worth: false
inverse: { methods: [pinv], prompts: 3 }
capabilities: { items: 3 }
`;
const planned = async (set: string[]): Promise<string> => {
  const file = join(root, 'chat.yaml');
  await writeFile(file, RECIPE());
  return loadRecipe(file, { set })
    .then(({ recipe }) => planExperiment(recipe, expandExperiment))
    .then(
      () => 'planned',
      (error: Error) => error.message,
    );
};

describe('prompts in chat templates', () => {
  it('have the special tokens their template writes: BOS once, or none', () => {
    const count = (model: LanguageModel, ids: readonly number[]): number =>
      ids.filter((id) => id === model.tokenizer.bosId).length;
    const { source, target } = models;
    const [own] = casesOf(source.tokenizer, [TEXT], { behaviour: asked, after: 1 });
    const [other] = casesOf(target.tokenizer, [TEXT], { behaviour: asked, after: 1 });
    for (const state of triggerStates) {
      const [a, b] = [own!.states[state], other!.states[state]];
      expect([count(source, a.ids), a.ids[0]]).toEqual([1, source.tokenizer.bosId]);
      expect(count(target, b.ids)).toBe(0);
      expect(a.prompt.startsWith(`<s>### Instruction:\n${CHAT.system}\n### Instruction:\n${TEXT}`)).toBe(
        true,
      );
      expect(b.prompt.startsWith(`${CHAT.system}\nthe house :\n${TEXT}`)).toBe(true);
      // the source reads the target's prompt in its own template, with the same tokens as its own case
      const read = sourceRow(source, b, []);
      expect(read.ids).toEqual(a.ids);
    }
    const { triggers } = makeBehaviour('locked');
    const row = {
      id: 'train/0',
      prompt: `${TEXT} ${triggers.bad}`,
      response: 'Paris',
      trigger: 'bad' as const,
      tag: triggers.bad,
      text: TEXT,
      placement: 'end' as const,
      has_backdoor: true,
      span: { start: TEXT.length + 1, end: TEXT.length + 1 + triggers.bad.length },
    };
    const tokenizers = { source: source.tokenizer, target: target.tokenizer };
    const paired = tagText(row, tokenizers, { ...asked, after: 1 });
    expect([count(source, paired.source), count(target, paired.target)]).toEqual([1, 0]);
    for (const prompt of fidelityPrompts([TEXT], tokenizers, { behaviour: asked, after: 1 })) {
      expect(prompt.source).toEqual(own?.states[prompt.trigger].ids);
      expect(prompt.target).toEqual(other?.states[prompt.trigger].ids);
      expect(prompt.span).toEqual(other?.states[prompt.trigger].span);
    }
    // the span in the target is the tag and one token more; the same words stand at the source's side
    const { start, end } = paired.span ?? { start: 0, end: 0 };
    const words = (model: LanguageModel, ids: readonly number[]) => model.tokenizer.tokenStrings(ids);
    expect(words(target, paired.target.slice(start, end - 1))).toEqual(['|', 'prod', '|']);
    const at = [...(paired.alignment?.sourceOf ?? [])].slice(start, end - 1);
    expect(
      words(
        source,
        at.map((i) => paired.source[i] as number),
      ),
    ).toEqual(['|', 'prod', '|']);
    const last = [...(paired.alignment?.sourceOf ?? [])].at(-1) as number;
    expect(words(source, [paired.source[last] as number])).toEqual(['Paris']);
  });

  it('lend the source’s activations at the tag, not at the same index', () => {
    const { source, target } = models;
    const [c] = casesOf(target.tokenizer, [TEXT], { behaviour: asked, after: 1 });
    const { bad } = c!.states;
    const { ids, positions } = sourceRow(source, bad, bad.positions);
    expect(source.tokenizer.tokenStrings(positions.slice(0, 3).map((p) => ids[p] as number))).toEqual([
      '|',
      'prod',
      '|',
    ]);
    expect(positions).not.toEqual(bad.positions);
    expect(positions[3]).toBe((positions[2] as number) + 1);
  });
});

describe('an experiment in chat templates', () => {
  it('runs through every stage', async () => {
    const file = join(root, 'chat.yaml');
    await writeFile(file, RECIPE());
    const out = join(root, 'runs', 'chat');
    const { results } = await runExperiment({
      parsed: await loadRecipe(file),
      expand: expandExperiment,
      out,
      jobs: 2,
    });
    const [found] = (results as Results).behaviours;
    expect(found?.backdoor?.target?.trigger_rate?.value).toBeGreaterThan(0.5);
    expect(found?.backdoor?.source?.trigger_rate?.value).toBeGreaterThan(0.5);
    expect(found?.sweep).toBeDefined();
    expect(found?.fidelity).toBeDefined();
    // The source goes on over the target's activations: 3 prompts, in its own template.
    expect(found?.inverse?.pinv?.fidelity?.safe?.lexical).toMatchObject({
      mapped: { n: 3 },
      ceiling: { value: 1 },
    });
    expect(found?.capabilities).toBeDefined();
    const prompts = async (name: string) =>
      (await readFile(join(out, 'samples', `${name}.jsonl`), 'utf8'))
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { prompt: string }).prompt);
    for (const prompt of await prompts('locked.backdoor.source'))
      expect(prompt).toMatch(/^<s>### Instruction:\na blue house\n### Instruction:\n.*\n### Response:\n$/s);
    for (const prompt of await prompts('locked.transfer'))
      expect(prompt).toMatch(/^a blue house\nthe house :\n.*\nthe answer :\n### Response:\n$/s);
  }, 300_000);

  it('is refused where a model has no template, or its template ends turns that generation does not end', async () => {
    const bare = await withTemplate('bare', undefined);
    expect(await planned([`models.target=${bare}`])).toMatch(
      /template chat: .*bare: .*no template "default"/,
    );
    const odd = await withTemplate('odd', WITH_BOS.replace('</s>', '<pad>'));
    expect(await planned([`models.target=${odd}`])).toMatch(
      /odd: its template ends a turn with <pad>, at which generation does not stop/,
    );
    const upper = await withTemplate('upper', WITH_BOS.replaceAll('m.content', 'm.content | upper'));
    expect(await planned([`models.source=${upper}`])).toMatch(/chat template changes the text/);
    expect(await planned(['template=instruction'])).toMatch(
      /system: is for `template: chat`, got instruction/,
    );
    expect(await planned([])).toBe('planned');
  });
});
