/** @file Maps on disk: `map.safetensors` (float32, exact) and `map.json` (where it came from). Whole or absent. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { brokenSeal, InputError, readSeal, withAtomicFolder, writeJsonAtomic } from '../base/index.ts';
import { MAP_FITS, WEIGHTS_FORMS } from '../contracts/index.ts';
import { readSafetensors, readTensorFloat32, refuseNonFinite, writeSafetensors } from '../models/index.ts';
import { bodies } from './kinds.ts';
import { ActivationMap, MAP_KINDS, type MapRecord, type MapTensor } from './map.ts';

const end = z.strictObject({
  model: z.string(),
  name: z.string(),
  // −1: what enters block 0
  block: z.int().min(-1),
  hook: z.string(),
  width: z.int().min(1),
  weights: z.enum(WEIGHTS_FORMS).optional(),
});
const recordSchema = z.strictObject({
  format: z.literal('crosspatch-map'),
  version: z.literal(1),
  kind: z.enum(MAP_KINDS),
  fit: z.enum(MAP_FITS),
  source: end,
  target: end,
  sourceTokenizer: z.string(),
  targetTokenizer: z.string(),
  data: z.string(),
  seed: z.int(),
  rows: z.int().min(0),
  /** Folders without `times.json` hold it here. */
  fitSeconds: z.number().min(0).optional(),
  settings: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
  metrics: z.record(z.string(), z.number()),
  curves: z
    .object({ step: z.array(z.number()) })
    .catchall(z.array(z.number().nullable()))
    .optional(),
});

/** How long the fit took, apart from what it gave: the same seed gives the same bytes, and times differ. */
const TIMES = 'times.json';
export const MAP_TIMES: readonly string[] = [TIMES];
const timesSchema = z.strictObject({
  fit_seconds: z.number().min(0),
  curve_seconds: z.array(z.number().nullable()).optional(),
});

/** Name under which the mean source row lies among the tensors. */
const SOURCE_MEAN = 'source_mean';

/** Write `map` as the folder `path`, replacing what was there. Figures that are not finite are left out. */
export async function saveMap(map: ActivationMap, path: string): Promise<void> {
  const metrics = Object.fromEntries(
    Object.entries(map.record.metrics).filter(([, v]) => Number.isFinite(v)),
  );
  const tensors: Record<string, MapTensor> = {
    ...map.body.tensors,
    [SOURCE_MEAN]: { shape: [map.sourceMean.length], data: map.sourceMean },
  };
  const { fitSeconds, curves, ...record } = map.record;
  const timeless =
    curves && Object.fromEntries(Object.entries(curves).filter(([name]) => name !== 'fit_seconds'));
  const fill = async (folder: string): Promise<void> => {
    await writeSafetensors(
      join(folder, 'map.safetensors'),
      Object.entries(tensors).map(([name, { shape, data }]) => ({ name, dtype: 'F32', shape, data })),
    );
    await writeJsonAtomic(join(folder, 'map.json'), {
      format: 'crosspatch-map',
      version: 1,
      ...record,
      metrics,
      ...(curves === undefined ? {} : { curves: timeless }),
    });
    await writeJsonAtomic(join(folder, TIMES), {
      fit_seconds: fitSeconds,
      curve_seconds: curves?.fit_seconds,
    });
  };
  await withAtomicFolder(path, fill, { unsealed: MAP_TIMES });
}

/** The times of a map folder; a file that is missing or invalid counts as absent. */
async function readTimes(path: string): Promise<z.infer<typeof timesSchema>> {
  try {
    return timesSchema.parse(JSON.parse(await readFile(join(path, TIMES), 'utf8')));
  } catch {
    return { fit_seconds: 0 };
  }
}

/** Read a map back; gives the same bits as the one saved. Throws `InputError` for a folder that is not one. */
export async function loadMap(path: string): Promise<ActivationMap> {
  const file = join(path, 'map.json');
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new InputError(`${path}: wanted a folder with map.json, made by map fit`, {
      id: 'map-damaged',
      cause,
    });
  }
  const parsed = recordSchema.safeParse(value);
  if (!parsed.success)
    throw new InputError(`${file}: ${z.prettifyError(parsed.error).replace(/\s*\n\s*/g, ' ')}`, {
      id: 'map-damaged',
    });
  const times = await readTimes(path);
  const {
    format: _format,
    version: _version,
    fitSeconds = times.fit_seconds,
    curves: read,
    ...record
  } = parsed.data;
  const curves = read && { ...(times.curve_seconds && { fit_seconds: times.curve_seconds }), ...read };
  const tensors: Record<string, MapTensor> = {};
  for (const info of (await readSafetensors(join(path, 'map.safetensors'))).tensors) {
    const { data } = await readTensorFloat32(info);
    refuseNonFinite(data, `${path}: map.safetensors: ${info.name}`);
    tensors[info.name] = { shape: info.shape, data };
  }
  const { [SOURCE_MEAN]: sourceMean, ...own } = tensors;
  const { width } = record.source;
  if (sourceMean?.data.length !== width)
    throw new InputError(`${path}: map.safetensors does not belong to map.json (width ${width})`, {
      id: 'map-damaged',
    });
  const whole = { ...record, fitSeconds, curves };
  const map = rebuilt(() => new ActivationMap(whole, bodies[record.kind](own), sourceMean.data), whole, path);
  const broken = (await readSeal(path)) === undefined ? undefined : await brokenSeal(path, MAP_TIMES);
  if (broken !== undefined && !broken.endsWith(' was added'))
    throw new InputError(`${path}: ${broken} after it was written; fit the map again`, { id: 'map-damaged' });
  return map;
}

/** The map, after one row has gone through it and come out as wide as the record says. */
function rebuilt(make: () => ActivationMap, { kind, target }: MapRecord, path: string): ActivationMap {
  let cause: unknown;
  try {
    const map = make();
    if (map.applyRow(map.sourceMean, 0).length === target.width) return map;
  } catch (error) {
    cause = error;
  }
  throw new InputError(
    `${path}: map.safetensors is not that of a map of kind ${kind} to width ${target.width}; fit it again`,
    { id: 'map-damaged', cause },
  );
}
