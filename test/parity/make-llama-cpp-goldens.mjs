/**
 * llama.cpp's own best next token at the positions of smollm2/ and gemma3-270m/ (see README.md).
 *
 * NODE_LLAMA_CPP=<dir>/node_modules/node-llama-cpp/dist/index.js CROSSPATCH_MODELS=… node make-llama-cpp-goldens.mjs
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

const { getLlama } = await import(process.env.NODE_LLAMA_CPP);
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: 'error' });

for (const name of ['smollm2', 'gemma3-270m']) {
  const folder = join(import.meta.dirname, name);
  const golden = JSON.parse(gunzipSync(readFileSync(join(folder, 'golden.json.gz'))));
  const model = await llama.loadModel({ modelPath: join(process.env.CROSSPATCH_MODELS, golden.model) });
  const context = await model.createContext({ contextSize: 256, flashAttention: false });
  const sequence = context.getSequence();
  const top1 = [];
  for (const { ids } of golden.forced) {
    await sequence.clearHistory();
    const want = { generateNext: { token: true, options: { temperature: 0 } } };
    const out = await sequence.controlledEvaluate(ids.map((id) => [id, want]));
    top1.push(out.map((o) => o.next.token));
  }
  const flat = golden.forced.flatMap((row, r) =>
    row.top1.map((id, t) => ({ same: id === top1[r][t], gap: row.gap[t] })),
  );
  const parted = flat.filter((p) => !p.same).map((p) => p.gap);
  console.log(
    name,
    `${flat.length - parted.length} of ${flat.length} agree; largest gap where not: ${Math.max(...parted)}`,
  );
  const note = { package: process.env.LLAMA_CPP_VERSION, top1 };
  writeFileSync(join(folder, 'llama_cpp.json.gz'), gzipSync(JSON.stringify(note), { level: 9 }));
  await model.dispose();
}
process.exit(0);
