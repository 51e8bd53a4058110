/** @file Stage `adapt`: a model with a PEFT adapter merged into it. */
import { join } from 'node:path';
import { z } from 'zod';
import { mergeAdapterFolder } from '../../train/index.ts';
import { runningBytes } from '../estimates.ts';
import { defineStage, sourceFile } from '../stage.ts';

/** Where the stage puts the model that runs. */
const MODEL = 'model';

export const adaptStage = defineStage({
  name: 'adapt',
  version: '1',
  module: import.meta.url,
  child: true,
  params: z.strictObject({}),
  inputs: { base: sourceFile, adapter: sourceFile },
  model: MODEL,
  estimate: (_, info) => ({ memory_bytes: runningBytes(info.models.slice(0, 1)) }),
  async run({ inputs, folder }): Promise<{ readonly adapter: string }> {
    await mergeAdapterFolder({
      model: inputs.base.folder,
      adapter: inputs.adapter.folder,
      out: join(folder, MODEL),
    });
    return { adapter: inputs.adapter.output.name };
  },
});
