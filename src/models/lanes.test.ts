import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GenerateOptions } from './completions.ts';
import type { LaneEvent, LaneRequest } from './lane.ts';
import { Lanes } from './lanes.ts';
import { LanguageModel } from './language-model.ts';
import { logSumExp } from './sampling.ts';

let model: LanguageModel;
beforeAll(async () => {
  model = await LanguageModel.load('tiny-llama-s');
});
afterAll(() => model[Symbol.asyncDispose]());

const QUESTIONS = [
  'Which day comes after Saturday?',
  'Name a fruit.',
  'What is the colour of the sky? Answer in one word, and say why it has that colour.',
  'Add two and three.',
];
const prompts = () =>
  QUESTIONS.map((q) => model.tokenizer.encodeIds(`### Instruction:\n${q}\n\n### Response:\n`));

/** Everything a request is told, put together as `generate` does. */
class Heard {
  readonly events: LaneEvent[] = [];
  readonly emit = (event: LaneEvent): void => {
    this.events.push(event);
  };
  get ids(): number[] {
    return this.events.flatMap((e) => (e.type === 'token' && e.id !== undefined ? [e.id] : []));
  }
  get text(): string {
    return this.events.map((e) => (e.type === 'token' ? e.text : '')).join('');
  }
  get finish(): string | undefined {
    return this.events.flatMap((e) => (e.type === 'token' && e.finish ? [e.finish] : []))[0];
  }
  get error(): unknown {
    return this.events.flatMap((e) => (e.type === 'error' ? [e.error] : []))[0];
  }
}

async function drain(lanes: Lanes): Promise<void> {
  for (let n = 0; lanes.busy; n++) {
    if (n > 1000) throw new Error('the lanes do not end');
    await lanes.step();
  }
}

/** Add a constant to the residual stream: from the prompt's last token on, so prompt and generation are both steered. */
const push = (by: number): NonNullable<LaneRequest['fwdHooks']> => [
  [
    'blocks.2.hook_resid_post',
    ({ data }, { counts, rows }) => {
      expect([rows, counts.length]).toEqual([[0], 1]);
      for (let i = 0; i < data.length; i += 3) data[i] += by;
    },
  ],
];

test('answers are those of a prompt alone, whoever joins and leaves', async () => {
  const ids = prompts();
  const free = { temperature: 8, seed: 5, stopTokens: [], maxNewTokens: 12 };
  const longer = await model.generate(ids[0], free);
  const requests: LaneRequest[] = [
    { ids: ids[0], maxNewTokens: 12 },
    { ids: ids[1], maxNewTokens: 5, fwdHooks: push(0.3) },
    { ids: ids[2], maxNewTokens: 16, temperature: 4, topP: 0.99, seed: 7 },
    { ids: ids[3], maxNewTokens: 9, temperature: 5, topK: 50, seed: 3, fwdHooks: push(-0.2) },
    { ids: ids[0], ...free, stopStrings: ['zz', longer.text.slice(-3)], logprobs: 3 },
  ];
  const lanes = new Lanes(model, { rows: 3, chunk: 8 });
  const heard = requests.map(() => new Heard());
  // Two at first, the others while those decode; there is room for three.
  lanes.submit(requests[0], heard[0].emit);
  lanes.submit(requests[1], heard[1].emit);
  for (let k = 0; k < 2; k++) await lanes.step();
  for (let k = 2; k < 5; k++) lanes.submit(requests[k], heard[k].emit);
  await drain(lanes);
  for (const [k, { ids: prompt, logprobs, maxNewTokens, ...request }] of requests.entries()) {
    const alone = await model.generate(prompt, {
      ...request,
      maxNewTokens,
      logprobs: true,
    } as GenerateOptions);
    expect(heard[k].ids, `request ${k}`).toEqual(alone.ids);
    expect(heard[k].text).toBe(alone.text);
    expect(heard[k].finish).toBe(alone.finishReason);
    if (logprobs === undefined) continue;
    const scores = heard[k].events.flatMap((e) => (e.type === 'token' && e.score ? [e.score] : []));
    expect(scores.length).toBeGreaterThan(0);
    scores.forEach(({ logprob, top }, i) => {
      expect(logprob).toBeCloseTo(alone.logprobs?.[i] as number, 4);
      expect(top[0].logprob).toBeGreaterThanOrEqual(logprob);
      expect(top.map((t) => t.logprob)).toEqual(top.map((t) => t.logprob).sort((a, b) => b - a));
    });
  }
});

test('a prompt is read in pieces, and its own tokens are scored as a whole pass scores them', async () => {
  const [, , ids] = prompts();
  const { logits } = await model.forward(ids);
  const v = logits.shape[2];
  for (const chunk of [5, 512]) {
    const lanes = new Lanes(model, { chunk });
    const heard = new Heard();
    lanes.submit({ ids, maxNewTokens: 0, scorePrompt: true, logprobs: 2 }, heard.emit);
    await drain(lanes);
    const [scores] = heard.events.flatMap((e) => (e.type === 'prompt' ? [e.scores] : []));
    expect(scores.map(({ id }) => id)).toEqual(ids.slice(1));
    scores.forEach(({ id, logprob, top }, t) => {
      const row = logits.data.slice(t * v, t * v + model.decoder.tokens);
      expect(logprob).toBeCloseTo(row[id] - logSumExp(row), 4);
      expect(top).toHaveLength(2);
      expect(top[0].logprob).toBeCloseTo(Math.max(...row) - logSumExp(row), 4);
    });
    expect([heard.ids, heard.finish]).toEqual([[], 'length']);
  }
});

test('the first token is shown with the hooks and without', async () => {
  const [ids] = prompts();
  const last = async (fwdHooks: LaneRequest['fwdHooks']): Promise<Float32Array> => {
    const { logits } = await model.forward(ids, fwdHooks);
    return logits.data.slice(-logits.shape[2]).slice(0, model.decoder.tokens);
  };
  const lanes = new Lanes(model);
  let seen: Float32Array[] = [];
  const onFirst = (...rows: Float32Array[]): void => {
    seen = rows.map((row) => row.slice());
  };
  lanes.submit({ ids: prompts()[1], maxNewTokens: 2 }, () => {});
  lanes.submit({ ids, maxNewTokens: 2, fwdHooks: push(0.4), onFirst }, () => {});
  await drain(lanes);
  const near = (a: Float32Array, b: Float32Array): number =>
    a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
  expect(near(seen[0], await last(push(0.4)))).toBeLessThan(1e-4);
  expect(near(seen[1], await last([]))).toBeLessThan(1e-4);
  expect(near(seen[0], seen[1])).toBeGreaterThan(0.1);
});

test('a hook that throws, or makes infinities, ends its own row alone; so does leaving', async () => {
  const ids = prompts();
  const alone = await model.generate(ids[0], { maxNewTokens: 10, stopTokens: [] });
  const at = (position: number, act: (data: Float32Array) => void): LaneRequest['fwdHooks'] => [
    [
      'blocks.1.hook_resid_post',
      ({ data }, { starts, counts }) => {
        if (starts[0] + counts[0] > position) act(data);
      },
    ],
  ];
  const throws = (): never => {
    throw new Error('no');
  };
  const lanes = new Lanes(model);
  const heard = Array.from({ length: 5 }, () => new Heard());
  lanes.submit({ ids: ids[0], maxNewTokens: 10, stopTokens: [] }, heard[0].emit);
  lanes.submit({ ids: ids[1], maxNewTokens: 10, stopTokens: [], fwdHooks: at(0, throws) }, heard[1].emit);
  const explode = at(ids[0].length + 2, (data) => data.fill(1e30));
  lanes.submit({ ids: ids[0], maxNewTokens: 10, stopTokens: [], fwdHooks: explode }, heard[2].emit);
  const leave = lanes.submit({ ids: ids[3], maxNewTokens: 10, stopTokens: [] }, heard[3].emit);
  lanes.submit(
    { ids: ids[0], maxNewTokens: 10, stopTokens: [], fwdHooks: at(ids[0].length + 1, throws) },
    heard[4].emit,
  );
  for (let k = 0; k < 3; k++) await lanes.step();
  leave();
  await drain(lanes);
  expect(heard[0].ids).toEqual(alone.ids);
  expect([heard[1].ids, String(heard[1].error)]).toEqual([[], 'Error: no']);
  expect(heard[2].ids).toHaveLength(3);
  expect(String(heard[2].error)).toContain('an activation overflows');
  expect(heard[3].finish).toBeUndefined();
  expect(heard[4].ids).toHaveLength(2);
  expect(lanes.load).toEqual({ live: 0, waiting: 0 });
  const refused = () => lanes.submit({ ids: [], maxNewTokens: 1 }, () => {});
  expect(refused).toThrow('has no tokens');
});
