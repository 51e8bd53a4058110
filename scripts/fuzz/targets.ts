/** @file Every fuzz target by name; loaded when it is run, so that the counting of branches starts before its code. */
import type { StartTarget } from './target.ts';

export const targets: Readonly<Record<string, StartTarget>> = {
  safetensors: async (scratch) => (await import('./targets/safetensors.ts')).start(scratch),
  gguf: async (scratch) => (await import('./targets/gguf.ts')).start(scratch),
  tokenizer: async (scratch) => (await import('./targets/tokenizer.ts')).start(scratch),
  config: async (scratch) => (await import('./targets/config.ts')).start(scratch),
  adapter: async (scratch) => (await import('./targets/adapter.ts')).start(scratch),
  template: async (scratch) => (await import('./targets/template.ts')).start(scratch),
  pattern: async (scratch) => (await import('./targets/pattern.ts')).start(scratch),
  recipe: async (scratch) => (await import('./targets/recipe.ts')).start(scratch),
  rows: async (scratch) => (await import('./targets/rows.ts')).start(scratch),
  'custom-rows': async (scratch) => (await import('./targets/custom-rows.ts')).start(scratch),
  'run-folder': async (scratch) => (await import('./targets/run-folder.ts')).start(scratch),
  'map-folder': async (scratch) => (await import('./targets/map-folder.ts')).start(scratch),
  hub: async (scratch) => (await import('./targets/hub.ts')).start(scratch),
  http: async (scratch) => (await import('./targets/http.ts')).start(scratch),
};
