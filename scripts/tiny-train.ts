/**
 * @file `npm run tiny:train`: make the bundled models from nothing. Seeded and resumable. Two models train side by side, one
 * thread each; `tiny-llama-s` waits for `tiny-llama-m`, whose embedding table it shares. Arguments: names of models (default all).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { evaluateTiny } from './tiny/card.ts';
import { pretrain } from './tiny/pretrain.ts';
import { specs } from './tiny/specs.ts';

const assets = fileURLToPath(new URL('../assets/tiny/', import.meta.url));
const cache = fileURLToPath(new URL('../.cache/tiny-train/', import.meta.url));

async function trainHere(name: string): Promise<void> {
  const spec = specs.find((s) => s.name === name);
  if (spec === undefined)
    throw new Error(`no bundled model is called ${name}; there are ${specs.map((s) => s.name).join(', ')}`);
  await pretrain(spec, {
    assets,
    cache,
    threads: 1,
    onProgress: ({ done, total, figures }) => {
      if (done % 50 === 0)
        process.stdout.write(
          `${name} ${done}/${total} loss ${figures?.loss?.toFixed(3)} ${figures?.tokens_per_second?.toFixed(0)} tokens/s\n`,
        );
    },
  });
  await evaluateTiny(spec, assets);
}

function trainInChild(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [...process.execArgv, fileURLToPath(import.meta.url), '--here', name],
      { stdio: 'inherit' },
    );
    child.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${name}: training ended with code ${code}`)),
    );
  });
}

const [flag, ...rest] = process.argv.slice(2);
if (flag === '--here') {
  await trainHere(rest[0] as string);
} else {
  const wanted = flag === undefined ? specs.map((s) => s.name) : [flag, ...rest];
  const done = new Map<string, Promise<void>>();
  let running = 0;
  const waiting: (() => void)[] = [];
  const slot = async (): Promise<void> => {
    if (running >= 2) await new Promise<void>((go) => waiting.push(go));
    running++;
  };
  for (const name of wanted) {
    const needs = specs.find((s) => s.name === name)?.embeddingOf;
    done.set(
      name,
      (async () => {
        if (needs !== undefined && wanted.includes(needs)) await done.get(needs);
        else if (needs !== undefined && !existsSync(`${assets}${needs}`))
          throw new Error(`${name} needs ${needs}: train that first`);
        await slot();
        try {
          await trainInChild(name);
        } finally {
          running--;
          waiting.shift()?.();
        }
      })(),
    );
  }
  await Promise.all(done.values());
}
