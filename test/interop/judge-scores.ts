/**
 * @file What a local ONNX judge of ours says of pairs of texts, for `peer_judges.py`: 200 pairs of real sentences, then ones at the edges (empty, long,
 * many scripts), as {pairs, scores, seconds of the 200}.
 *
 *   npx tsx test/interop/judge-scores.ts embedding FOLDER scores.json
 */
import { readFile } from 'node:fs/promises';
import { writeJsonAtomic } from '../../src/base/index.ts';
import { locateOnnxJudge, openOnnxJudges } from '../../src/evaluate/index.ts';

const [given = '', path = '', out = ''] = process.argv.slice(2);
const kind = given === 'pair' ? 'pair' : 'embedding';
const read = async (name: string): Promise<string[]> =>
  (await readFile(new URL(`../data/${name}.jsonl`, import.meta.url), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text: string }).text);
const [harmful, harmless] = [await read('harmful'), await read('harmless')];
const sentences = [
  ...harmful.map((reference, i) => ({ reference, candidate: harmless[i] as string })),
  ...harmless.slice(0, 36).map((reference, i) => ({ reference, candidate: harmless[i + 1] as string })),
];
const long = harmless.join(' ');
const edges = [
  ['good tea', ''],
  ['', 'good tea'],
  ['', ''],
  ['the same', 'the same'],
  [long, harmful.join(' ')],
  ['short', long],
  [long, 'short'],
  ['Où ça ? Naïve Ångström, ΣΊΣΥΦΟΣ.', 'Où ça ? Naive Angstrom, σισυφος.'],
  ['人人生而自由。', 'すべての人間は自由である。'],
  ['👩‍💻 ships it 🚀', 'She ships it, [SEP] and [CLS] are words'],
].map(([reference = '', candidate = '']) => ({ reference, candidate }));

const reading = { kind, max_tokens: 256 } as const;
const { folder, file } = await locateOnnxJudge(path, reading);
await using judges = await openOnnxJudges([{ folder, settings: { ...reading, name: kind, file } }], {});
const judge = judges.judges[0] as (typeof judges.judges)[number];
const start = performance.now();
const scores = await judge.score(sentences);
const seconds = (performance.now() - start) / 1000;
await writeJsonAtomic(out, {
  pairs: [...sentences, ...edges],
  scores: [...scores, ...(await judge.score(edges))],
  seconds,
});
process.stdout.write(`${sentences.length} pairs of sentences in ${seconds.toFixed(2)} s\n`);
