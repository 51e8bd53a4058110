/** @file Maps as stages: in one piece for small models; for others each model first reads the texts in a stage of its own, and no two are open there. */
import type { Recipe } from '../../contracts/index.ts';
import type { InputRefs, NodeRef, Plan } from '../plan.ts';
import type { OutputsOf } from '../stage.ts';
import { mapRowsStage, type mapTextInputs, ROW_READERS, setsOf } from './map-rows.ts';
import { type MapsOutput, mapsStage } from './maps.ts';
import type { Naming } from './naming.ts';

/** Parameters of a model from which on reading is a stage of its own: smaller ones read all texts in seconds. */
const APART = 20e6;

/** What maps are made of. */
export interface PlannedMaps {
  /** What decides which texts there are, and where they are read. */
  readonly texts: Readonly<Record<string, unknown>>;
  /** What else the maps stage takes. */
  readonly fitting: Readonly<Record<string, unknown>>;
  readonly recipe: Pick<Recipe, 'maps'>;
  readonly inputs: InputRefs<OutputsOf<typeof mapTextInputs>>;
  /** Of the larger model. */
  readonly parameters: number;
  readonly publish: Readonly<Record<string, string>>;
}

/** Add the stages of the maps. Returns the one with the maps. */
export function mapsNode(
  plan: Plan,
  at: Naming,
  { texts, fitting, recipe: { maps }, inputs, parameters, publish }: PlannedMaps,
): NodeRef<MapsOutput> {
  const readers = ROW_READERS.map((reader) => ({ reader, sets: setsOf(reader, maps) }));
  const rows =
    parameters < APART
      ? []
      : readers
          .filter(({ sets }) => sets.length > 0)
          .map(({ reader, sets }) =>
            plan.add(mapRowsStage, {
              id: at.id(`maps.${reader}`),
              params: { ...texts, reader, sets },
              inputs,
            }),
          );
  return plan.add(mapsStage, {
    id: at.id('maps'),
    params: { ...texts, ...fitting, maps },
    inputs: { ...inputs, rows },
    publish,
  });
}
