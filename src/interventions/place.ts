/** @file An edit in its place, and whether vectors fit there. */
import { InputError } from '../base/index.ts';
import type { Intervention } from '../contracts/index.ts';
import type { LanguageModel } from '../models/index.ts';
import type { PromptTokens } from './select.ts';

/** A document's edit with the model, the prompts and the positions that it is made ready for. */
export interface PlacedEdit {
  readonly edit: Intervention;
  readonly model: LanguageModel;
  readonly prompts: readonly PromptTokens[];
  /** Prompt positions edited, a row. */
  readonly selected: readonly (readonly number[])[];
  /** Which edit this is; begins the messages of errors. */
  readonly where: string;
}

/** The error for a vector of `got` numbers in a model of width `wanted`. */
export function wrongWidth(where: string, got: number, wanted: number): InputError {
  return new InputError(`${where}: a vector of ${got} numbers does not fit a model of width ${wanted}`, {
    id: 'vector-invalid',
  });
}

/** One vector for all positions, or one each: anything else is refused before anything runs. */
export function checkCounts(
  ofRow: readonly Float32Array[],
  { model, edit, selected, where }: PlacedEdit,
): readonly Float32Array[] {
  ofRow.forEach((values, row) => {
    const n = values.length / model.config.dModel;
    if (n === 1) return;
    const wanted = selected[row].length;
    const generates =
      edit.tokens.generation ?? edit.tokens.generation_positions ?? edit.tokens.generation_window;
    if (n !== wanted || generates !== undefined)
      throw new InputError(
        `${where}: ${n} vectors for ${wanted} positions of prompt ${row}${generates === undefined ? '' : ' and the generated ones'}; give one vector, or one a position`,
        { id: 'vector-invalid' },
      );
  });
  return ofRow;
}
