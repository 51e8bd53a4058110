/** @file Running a stage with its context: models are opened when they are asked for, and disposed of when the stage ends. */
import { CrosspatchError, disposeAll } from '../base/index.ts';
import { LanguageModel } from '../models/index.ts';
import type { AnyStage, StageContext, StageInput } from './stage.ts';

/** A stage's context but for what {@link runStage} adds. */
export type GivenContext = Omit<StageContext<unknown, unknown>, 'model'>;

/** Run a stage. */
export async function runStage(stage: AnyStage, given: GivenContext): Promise<object> {
  const inputs = given.inputs as Readonly<Record<string, StageInput<unknown>>>;
  const open = new Map<string, Promise<LanguageModel>>();
  const model = (name: string): Promise<LanguageModel> => {
    const { model: path, weights } = inputs[name] ?? {};
    if (path === undefined)
      throw new CrosspatchError(`stage ${stage.name}: the input ${name} holds no model`, { id: 'internal' });
    const loading = open.get(path) ?? LanguageModel.load(path, { threads: given.threads, weights });
    open.set(path, loading);
    return loading;
  };
  try {
    return await stage.run({ ...given, model });
  } finally {
    const loaded = await Promise.allSettled(open.values());
    await disposeAll(loaded.flatMap((l) => (l.status === 'fulfilled' ? [l.value] : [])));
  }
}
