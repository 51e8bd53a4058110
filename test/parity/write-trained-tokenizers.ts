/** @file Writes our trained tokenizers for `make_trained_tokenizer_goldens.py`: npx tsx test/parity/write-trained-tokenizers.ts FOLDER */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { trained } from './trained-tokenizers.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('write_trained_tokenizers: name the folder to write to');
for (const [kind, files] of Object.entries(trained)) {
  mkdirSync(join(folder, kind), { recursive: true });
  writeFileSync(join(folder, kind, 'tokenizer.json'), JSON.stringify(files.tokenizerJson));
  writeFileSync(join(folder, kind, 'tokenizer_config.json'), JSON.stringify(files.tokenizerConfig));
}
