/** @file What intervention documents may name: other models by reference, maps and vectors by path. */
import { isAbsolute, join } from 'node:path';
import type { ModelName, Resolvers } from '../interventions/index.ts';
import { loadMap } from '../maps/index.ts';
import { type LanguageModel, parseHookName } from '../models/index.ts';

/**
 * Paths of maps and vectors are relative to `folder`; so is a model that begins with `./` or `../`, others are bundled names, paths or names
 * on the hub, and adapters, which lie in folders. Models come from `open`, who also closes them. A map made for other models, hooks or widths is refused.
 */
export function documentResolvers(
  folder: string,
  open: (name: ModelName) => Promise<LanguageModel>,
): Resolvers {
  const within = (path: string): string => (isAbsolute(path) ? path : join(folder, path));
  return {
    folder,
    openModel: ({ model, adapter }) =>
      open({
        model: /^\.\.?[\\/]/.test(model) ? join(folder, model) : model,
        adapter: adapter && within(adapter),
      }),
    loadMap: async (path, { source, sourceHook, target, targetHook }) => {
      const map = await loadMap(within(path));
      map.assertFits(await endOf(source, sourceHook), await endOf(target, targetHook));
      return (rows) => map.apply(rows, rows.length / source.config.dModel);
    },
  };
}

async function endOf(model: LanguageModel, hook: string) {
  return {
    model: await model.checkpoint.contentHash(),
    block: parseHookName(hook, model.nLayers).layer,
    hook,
    width: model.config.dModel,
  };
}
