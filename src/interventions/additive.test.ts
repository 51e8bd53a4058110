import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseIntervention } from '../contracts/index.ts';
import { fileSource } from '../models/checkpoint/index.ts';
import { readGguf } from '../models/index.ts';
import { additiveVectors, writeControlVector, writeDirections } from './additive.ts';
import { readSteeringVectors } from './steering-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-additive-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const everywhere = { prompt: 'all', generation: 'all' } as const;
const add = (block: number, values: number[], more: object = {}) => ({
  op: 'add',
  hook: `blocks.${block}.hook_resid_post`,
  tokens: everywhere,
  vector: { from: 'inline', values },
  ...more,
});

describe('additiveVectors', () => {
  it('multiplies strengths in and adds up what meets in a block', () => {
    const { vectors, leaves } = additiveVectors(
      parseIntervention([
        add(3, [1, 2], { scale: 2 }),
        add(1, [3, 4], { scale: 10, normalize: 'unit' }),
        add(3, [1, 0], { tokens: { ...everywhere, exclude_first: true } }),
      ]),
    );
    expect([...vectors].map(([block, v]) => [block, [...v]])).toEqual([
      [1, [6, 8]],
      [3, [3, 4]],
    ]);
    expect(leaves).toEqual(['position 0 is left out here, and is not there']);
  });

  it.each([
    [add(1, [1, 2], { tokens: { match: '|prod|' } }), 'at some positions only'],
    [add(1, [1, 2], { tokens: { prompt: 'all' } }), 'at some positions only'],
    [{ when: { span: { text: 'x' } }, interventions: [add(1, [1, 2])] }, 'on some prompts only'],
  ])('refuses %j, unless it is taken as added everywhere', (input, message) => {
    const document = parseIntervention(input);
    expect(() => additiveVectors(document)).toThrow(message);
    const { vectors, leaves } = additiveVectors(document, { everywhere: true });
    expect([...(vectors.get(1) ?? [])]).toEqual([1, 2]);
    expect(leaves.join()).toContain(message);
  });

  it.each([
    [add(1, [1, 2], { op: 'set' }), 'wanted vectors added after blocks'],
    [{ conflict: 'priority', interventions: [add(1, [1, 2]), add(1, [3, 4])] }, 'conflict: priority'],
    [{ op: 'suppress', hook: 'blocks.1.hook_mlp_out', tokens: everywhere }, 'wanted vectors added'],
    [add(1, [1, 2], { hook: 'blocks.1.hook_mlp_out' }), 'wanted vectors added'],
    [add(1, [1, 2], { vector: { from: 'file', path: 'x.gguf', key: 'direction.1' } }), 'wanted one vector'],
  ])('refuses %j', (input, message) => {
    expect(() => additiveVectors(parseIntervention(input), { everywhere: true })).toThrow(message);
  });
});

describe('files', () => {
  const vectors = new Map([
    [2, Float32Array.of(0.5, -1.25, 3)],
    [5, Float32Array.of(1, 2, 1e-8)],
  ]);

  it('a GGUF control vector as repeng and llama.cpp read it, and back', async () => {
    const path = join(folder, 'v.gguf');
    await writeControlVector(path, vectors, { architecture: 'qwen2', model: 'M' });
    using source = fileSource(path);
    const { metadata, tensors } = readGguf(source, path);
    expect(metadata.get('general.architecture')).toBe('controlvector');
    expect(metadata.get('controlvector.model_hint')).toBe('qwen2');
    expect(metadata.get('controlvector.layer_count')).toBe(2);
    expect([...tensors.values()].map(({ name, shape, type }) => [name, shape, type.name])).toEqual([
      ['direction.2', [3], 'F32'],
      ['direction.5', [3], 'F32'],
    ]);
    expect(await readSteeringVectors(path)).toEqual(vectors);
    // Its own file may be written again, another's may not, and block 0 has no place.
    await writeControlVector(path, vectors, { architecture: 'qwen2' });
    await writeFile(join(folder, 'letter.gguf'), 'a letter');
    const refused = writeControlVector(join(folder, 'letter.gguf'), vectors, { architecture: 'x' });
    await expect(refused).rejects.toThrow('did not write');
    expect(await readFile(join(folder, 'letter.gguf'), 'utf8')).toBe('a letter');
    const first = writeControlVector(path, new Map([[0, Float32Array.of(1)]]), { architecture: 'x' });
    await expect(first).rejects.toThrow('no place for block 0');
  });

  it('safetensors, and back', async () => {
    const path = join(folder, 'v.safetensors');
    await writeDirections(path, vectors, { architecture: 'qwen2' });
    expect(await readSteeringVectors(path)).toEqual(vectors);
    await writeDirections(path, vectors, { architecture: 'qwen2', model: 'M' });
  });
});
