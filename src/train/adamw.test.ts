import { describe, expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { AdamW, globalNorm, isMatrix } from './adamw.ts';

/** The update in float64, one value at a time (arXiv 1711.05101, algorithm 2). */
function plainAdamW(w: number, g: number, m: number, v: number, step: number, lr: number, decay: number) {
  const [b1, b2, eps] = [0.9, 0.95, 1e-8];
  const m1 = b1 * m + (1 - b1) * g;
  const v1 = b2 * v + (1 - b2) * g * g;
  const change = m1 / (1 - b1 ** step) / (Math.sqrt(v1 / (1 - b2 ** step)) + eps);
  return { w: w - lr * change - lr * decay * w, m: m1, v: v1 };
}

describe('AdamW', () => {
  it.each([1, 3, 4, 8191, 8192, 8193, 20_001])('updates %i values as plain loops in float64', (n) => {
    const rng = new Rng(n);
    const draw = (): Float32Array => Float32Array.from({ length: n }, () => rng.normal());
    const w = draw();
    const plain = Array.from(w, (x) => ({ w: x, m: 0, v: 0 }));
    const parameters = new Map([['a.weight', w]]);
    const optimizer = new AdamW(parameters, { weightDecay: 0.1 });
    for (let step = 1; step <= 4; step++) {
      const g = draw();
      optimizer.update(parameters, new Map([['a.weight', g]]), { step, rate: () => 0.01, scale: 0.5 });
      plain.forEach((p, i) => {
        Object.assign(p, plainAdamW(p.w, g[i] * 0.5, p.m, p.v, step, 0.01, 0.1));
      });
    }
    const worst = plain.reduce((max, p, i) => Math.max(max, Math.abs(p.w - w[i])), 0);
    expect(worst).toBeLessThan(1e-6);
    expect(Math.abs(optimizer.first.get('a.weight')![n - 1] - plain[n - 1].m)).toBeLessThan(1e-6);
  });

  it('leaves a tensor and its moments alone at rate 0, and does not decay norms', () => {
    const parameters = new Map([
      ['x.norm.weight', Float32Array.of(1, 1)],
      ['frozen.weight', Float32Array.of(1, 1)],
    ]);
    const optimizer = new AdamW(parameters, { weightDecay: 1 });
    const gradients = new Map([...parameters.keys()].map((name) => [name, Float32Array.of(0, 1)]));
    optimizer.update(parameters, gradients, {
      step: 1,
      rate: (name) => (name === 'frozen.weight' ? 0 : 0.1),
    });
    expect(parameters.get('frozen.weight')).toEqual(Float32Array.of(1, 1));
    expect(optimizer.first.get('frozen.weight')).toEqual(Float32Array.of(0, 0));
    expect(parameters.get('x.norm.weight')![0]).toBe(1);
    expect(parameters.get('x.norm.weight')![1]).toBeCloseTo(0.9, 6);
  });

  it('knows what decays', () => {
    expect(isMatrix('model.layers.0.mlp.up_proj.weight')).toBe(true);
    expect(isMatrix('model.layers.0.self_attn.q_proj.weight.lora_A')).toBe(true);
    expect(isMatrix('model.layers.0.input_layernorm.weight')).toBe(false);
    expect(isMatrix('model.layers.0.self_attn.q_proj.bias')).toBe(false);
  });

  it('measures the length of all gradients together', () => {
    const norm = globalNorm(
      new Map([
        ['a', Float32Array.of(3, 0, 0, 0, 0)],
        ['b', Float32Array.of(0, 4)],
      ]),
    );
    expect(norm).toBe(5);
  });
});
