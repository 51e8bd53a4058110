/**
 * @file Samples in the formats of other tools. The shapes are those of Inspect's `EvalLog` and of lm-evaluation-harness's
 * `result_schema.py`, written down here; test/interop/peer_records.py has the tools themselves read such files.
 */
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type ItemRow, itemRowSchema, type Sample, sampleSchema } from '../../contracts/index.ts';
import { fixtureManifest } from '../../figures/results.fixture.ts';
import { fixtureSamples } from '../../figures/samples.fixture.ts';
import { inspectLogs, itemRecords, lmEvalFiles, runRecords, runSource } from '../index.ts';

const samples: Sample[] = fixtureSamples(4).map((s) => sampleSchema.parse(s));
const source = runSource(fixtureManifest());

/** Share of a flag among the samples that have it, by plain loops. */
function share(
  of: readonly Sample[],
  flag: 'restored' | 'triggered',
): { value: number; stderr: number; n: number } {
  const values = of.map((s) => s.outcome?.[flag]).filter((x) => x !== undefined);
  const n = values.length;
  const p = values.filter(Boolean).length / n;
  // s² of zeros and ones over n − 1 is p(1 − p)n/(n − 1).
  return { value: p, n, stderr: Math.sqrt((p * (1 - p)) / (n - 1)) };
}

const items: ItemRow[] = [
  ...['1', '2', '3'].map((id, i): ItemRow => {
    const logprobs = [
      [-1, -2],
      [-4, -2],
      [-1.5, -1],
    ][i] as number[];
    const right = [1, 0, 1][i] as number;
    return {
      task: 'arc_easy',
      id,
      prompt: `Question: ${id}\nAnswer:`,
      choices: ['a pear', 'a stone'],
      gold: i === 0 ? 0 : 1,
      logprobs,
      answer: 'x',
      scores: { acc: right, acc_norm: right },
      cut: false,
      model: 'org/m',
      num_fewshot: 0,
    };
  }),
  {
    task: 'gsm8k',
    id: '0',
    prompt: 'Question: 2+2\nAnswer:',
    answer: 'so 4\n#### 4',
    completion: ' 4\n#### 4',
    extracted: { 'strict-match': '4', 'flexible-extract': '4' },
    scores: { 'strict-match': 1, 'flexible-extract': 1 },
    cut: false,
    model: 'org/m',
    num_fewshot: 5,
  },
  ...['law/0', 'law/1', 'art/0', 'art/1', 'art/2'].map(
    (id, i): ItemRow => ({
      task: 'mmlu',
      id,
      prompt: `q ${id}`,
      choices: ['A', 'B', 'C', 'D'],
      gold: 2,
      logprobs: [-1, -2, -3, -4],
      answer: 'C',
      scores: { acc: i % 2 },
      cut: false,
      model: 'org/m',
      num_fewshot: 0,
    }),
  ),
].map((row) => itemRowSchema.parse(row));

describe('Inspect', () => {
  const score = z.object({
    value: z.union([z.number(), z.boolean(), z.string()]),
    answer: z.string().optional(),
  });
  const message = z.object({ role: z.enum(['user', 'assistant']), content: z.string() });
  const time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
  const log = z.object({
    version: z.literal(2),
    status: z.literal('success'),
    eval: z.object({
      eval_id: z.string().length(22),
      run_id: z.string().length(22),
      created: time,
      task: z.string(),
      task_id: z.string().length(22),
      dataset: z.object({ name: z.string(), samples: z.int(), sample_ids: z.array(z.string()) }),
      model: z.string(),
      config: z.object({ epochs: z.literal(1) }),
      packages: z.record(z.string(), z.string()),
    }),
    plan: z.object({ steps: z.array(z.object({ solver: z.string() })) }),
    results: z.object({
      total_samples: z.int(),
      scores: z.array(
        z.object({
          name: z.string(),
          scorer: z.string(),
          scored_samples: z.int(),
          metrics: z.record(
            z.string(),
            z.object({
              name: z.string(),
              value: z.number(),
              metadata: z.object({ n: z.int(), stderr: z.number().optional() }),
            }),
          ),
        }),
      ),
    }),
    stats: z.object({ started_at: time, completed_at: time }),
    samples: z.array(
      z.object({
        id: z.string(),
        epoch: z.literal(1),
        input: z.string(),
        choices: z.array(z.string()).optional(),
        target: z.string(),
        messages: z.array(message),
        output: z.object({
          completion: z.string(),
          choices: z.array(z.object({ message, stop_reason: z.enum(['stop', 'max_tokens', 'unknown']) })),
        }),
        scores: z.record(z.string(), score),
        metadata: z.record(z.string(), z.unknown()),
      }),
    ),
  });
  let logs: Map<string, z.infer<typeof log>>;
  const named = (task: string, model: string) => {
    const [found] = [...logs.values()].filter((one) => one.eval.task === task && one.eval.model === model);
    return found as z.infer<typeof log>;
  };
  beforeAll(() => {
    const all = [
      ...inspectLogs(runRecords(samples), source),
      ...inspectLogs(itemRecords(items, 'm'), source),
    ];
    logs = new Map(all.map(([name, one]) => [name, log.parse(JSON.parse(JSON.stringify(one)))]));
  });

  it('every sample is in one log, with its texts, under an id of its own', () => {
    const all = [...logs.values()].flatMap((one) => one.samples);
    expect(all.length).toBe(samples.length + items.length);
    for (const [name, one] of logs) {
      expect(name).toMatch(/^2026-11-22T10-00-00\+00-00_[a-z0-9-]+_\w{22}\.json$/);
      expect(new Set(one.eval.dataset.sample_ids).size).toBe(one.samples.length);
    }
    const byId = new Map(all.map((one) => [one.id, one]));
    for (const s of samples) {
      const there = byId.get(s.id);
      expect(there?.input).toBe(s.prompt);
      expect(there?.messages.map((m) => m.content)).toEqual([s.prompt, s.completion]);
      expect(there?.output.completion).toBe(s.completion);
      expect(there?.scores.triggered?.value).toBe(s.outcome?.triggered);
      expect(there?.metadata).toMatchObject({ stage: s.stage, trigger: s.trigger, prompt_id: s.prompt_id });
      if (s.block !== undefined) expect(there?.metadata.block).toBe(s.block);
    }
  });

  it('metrics are means by arm', () => {
    const { results } = named('locked_transfer', 'crosspatch/locked.target');
    const metric = results.scores.find(({ name }) => name === 'restored')?.metrics[
      'mapped.affine.with_tags bad'
    ];
    const own = samples.filter(
      (s) =>
        s.behaviour === 'locked' &&
        s.stage === 'transfer' &&
        s.arm === 'mapped' &&
        s.trigger === 'bad' &&
        s.map?.kind === 'affine' &&
        s.map.fit === 'with_tags',
    );
    const { value, n, stderr } = share(own, 'restored');
    expect(n).toBe(4);
    expect(value).toBe(0.75);
    expect(metric).toMatchObject({ value, metadata: { n, stderr: expect.closeTo(stderr, 12) } });
    const swept = named('locked_sweep', 'crosspatch/locked.source').results.scores[0]?.metrics ?? {};
    expect(Object.keys(swept)).toContain('native block3 bad');
  });

  it('restoration wants the safe completion, elicitation the bad one, and unpatched runs none', () => {
    const { samples: rows } = named('locked_transfer', 'crosspatch/locked.target');
    const { samples: unpatched } = named('locked_backdoor', 'crosspatch/locked.target');
    const [bad, safe] = ['bad', 'safe'].map((t) => rows.find((row) => row.metadata.trigger === t));
    const references = samples.find((s) => s.id === bad?.id)?.references;
    expect(bad?.target).toBe(references?.safe);
    expect(safe?.target).toBe(samples.find((s) => s.id === safe?.id)?.references?.bad);
    expect(bad?.scores.restored?.answer).toBe(bad?.output.completion);
    expect(unpatched.map((row) => row.target)).toEqual(unpatched.map(() => ''));
  });

  it('an item has its choices, the right letter, and the letter or number that was read', () => {
    const arc = named('arc_easy', 'crosspatch/org/m');
    expect(arc.samples.map(({ target, scores }) => [target, scores.acc?.value, scores.acc?.answer])).toEqual([
      ['A', 1, 'A'],
      ['B', 0, 'B'],
      ['B', 1, 'B'],
    ]);
    expect(arc.samples[0]?.choices).toEqual(['a pear', 'a stone']);
    const [sum] = named('gsm8k', 'crosspatch/org/m').samples;
    expect(sum?.scores['strict-match']).toEqual({ value: 1, answer: '4' });
    expect(arc.results.scores[0]?.metrics.mean).toMatchObject({
      value: 2 / 3,
      metadata: { n: 3, stderr: expect.closeTo(1 / 3, 12) },
    });
  });
});

describe('lm-evaluation-harness', () => {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const hash = z.string().regex(/^[0-9a-f]{64}$/);
  const row = z.looseObject({
    doc_id: z.int(),
    doc: z.record(z.string(), z.unknown()),
    target: z.string(),
    arguments: z.record(
      z.string().regex(/^gen_args_\d+$/),
      z.object({ arg_0: z.string(), arg_1: z.unknown() }),
    ),
    resps: z.array(z.array(z.union([z.string(), z.array(z.string())]))),
    filtered_resps: z.array(z.union([z.string(), z.array(z.string())])),
    filter: z.string(),
    metrics: z.array(z.string()),
    doc_hash: hash,
    prompt_hash: hash,
    target_hash: hash,
  });
  const results = z.looseObject({
    results: z.record(
      z.string(),
      z.looseObject({ name: z.string(), alias: z.string(), sample_len: z.int() }),
    ),
    group_subtasks: z.record(z.string(), z.array(z.string())),
    configs: z.record(z.string(), z.object({ task: z.string() }).loose()),
    versions: z.record(z.string(), z.number()),
    'n-shot': z.record(z.string(), z.int()),
    'n-samples': z.record(z.string(), z.object({ original: z.int(), effective: z.int() })),
    model_name: z.string(),
    model_name_sanitized: z.string(),
    task_hashes: z.record(z.string(), hash),
    date: z.number(),
  });
  const read = (files: Map<string, string>) =>
    [...files].map(([path, text]) =>
      path.endsWith('.json')
        ? { path, results: results.parse(JSON.parse(text)), rows: [] }
        : {
            path,
            results: undefined,
            rows: text
              .trim()
              .split('\n')
              .map((line) => row.parse(JSON.parse(line))),
          },
    );

  it('a treated model is a model of its own, with a task per stage, block and trigger', () => {
    const files = read(lmEvalFiles(runRecords(samples), source));
    expect(files.flatMap(({ rows }) => rows).length).toBe(samples.length);
    for (const { path } of files)
      expect(path).toMatch(/^[\w@.-]+\/(results|samples_[\w-]+)_2026-11-22T10-00-00\.000000\.jsonl?$/);
    const own = files.find(({ path }) => path.startsWith('locked.target@mapped.affine.with_tags/results'));
    const wanted = share(
      samples.filter(
        (s) =>
          s.behaviour === 'locked' &&
          s.stage === 'transfer' &&
          s.arm === 'mapped' &&
          s.trigger === 'bad' &&
          s.map?.kind === 'affine' &&
          s.map.fit === 'with_tags',
      ),
      'restored',
    );
    expect(own?.results?.results.locked_transfer_bad).toMatchObject({
      sample_len: 4,
      'restored,none': wanted.value,
      'restored_stderr,none': expect.closeTo(wanted.stderr, 12),
    });
    const swept = files.filter(({ path }) =>
      path.startsWith('locked.source@native/samples_locked_sweep_block'),
    );
    expect(swept.map(({ rows }) => rows.length)).toEqual([4, 4, 4, 4]);
  });

  it('items have the names, numbers and hashes of the harness', () => {
    const files = read(lmEvalFiles(itemRecords(items, 'm'), source));
    expect(files.map(({ path }) => path.replace(/_2026.*/, ''))).toEqual(
      ['results', 'samples_arc_easy', 'samples_gsm8k', 'samples_mmlu_law', 'samples_mmlu_art'].map(
        (name) => `org__m/${name}`,
      ),
    );
    const rows = files.flatMap((file) => file.rows);
    const [first] = rows;
    expect(first).toMatchObject({
      doc_id: 1,
      target: '0',
      arguments: {
        gen_args_0: { arg_0: 'Question: 1\nAnswer:', arg_1: ' a pear' },
        gen_args_1: { arg_1: ' a stone' },
      },
      resps: [[['-1', 'None']], [['-2', 'None']]],
      metrics: ['acc', 'acc_norm'],
      acc: 1,
      prompt_hash: sha256('Question: 1\nAnswer:'),
      target_hash: sha256('0'),
    });
    expect(
      rows
        .filter(({ filter }) => filter !== 'none')
        .map(({ filter, filtered_resps, exact_match, target }) => [
          filter,
          filtered_resps,
          exact_match,
          target,
        ]),
    ).toEqual(['strict-match', 'flexible-extract'].map((filter) => [filter, ['4'], 1, 'so 4\n#### 4']));
    const { results: all, ...more } = files[0]?.results ?? {};
    expect(all?.arc_easy).toMatchObject({
      'acc,none': 2 / 3,
      'acc_stderr,none': expect.closeTo(1 / 3, 12),
      'acc_norm,none': 2 / 3,
    });
    expect(all?.gsm8k).toMatchObject({
      'exact_match,strict-match': 1,
      'exact_match_stderr,strict-match': 'N/A',
    });
    // law: 0, 1; art: 0, 1, 0. Pooled as lm_eval.api.metrics.pooled_sample_stderr does: √(Σ(n−1)·se²·n / (N − k) / N).
    expect(all?.mmlu).toMatchObject({
      'acc,none': 2 / 5,
      'acc_stderr,none': expect.closeTo(Math.sqrt((1 * 0.25 * 2 + 2 * (1 / 9) * 3) / 3 / 5), 12),
    });
    expect(more).toMatchObject({
      'n-shot': { gsm8k: 5, arc_easy: 0 },
      versions: { gsm8k: 3, arc_easy: 1 },
      group_subtasks: { mmlu: ['mmlu_law', 'mmlu_art'] },
      model_name: 'org/m',
      model_name_sanitized: 'org__m',
    });
  });
});
