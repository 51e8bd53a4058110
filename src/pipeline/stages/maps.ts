/** @file Stage `maps`: read both models over the same texts, fit every map on every kind of rows, measure each. */
import { join } from 'node:path';
import { z } from 'zod';
import {
  collectPairs,
  livePairs,
  noCounts,
  type PairCounts,
  type PairedText,
  type PairSource,
  pairTable,
  splitByPrompt,
  textsHash,
  tokenizerHash,
} from '../../activations/index.ts';
import { InputError } from '../../base/index.ts';
import {
  type MapEntry,
  type MapFigures,
  type MapFit,
  type MapSettings,
  mapLabel,
  mapSettingsSchema,
} from '../../contracts/index.ts';
import {
  curveEvaluator,
  inverseFigures,
  inverseMaps,
  mapFigures,
  sourceTokenMean,
  swapTexts,
} from '../../evaluate/index.ts';
import {
  type ActivationMap,
  type FitContext,
  type FitData,
  type FitSettings,
  fitMap,
  saveMap,
} from '../../maps/index.ts';
import { LanguageModel } from '../../models/index.ts';
import type { SourceOutput } from '../plan.ts';
import { defineStage, type StageContext } from '../stage.ts';
import { behaviourParams } from './behaviourParams.ts';
import { type DataOutput, readGeneral, readRows } from './data.ts';
import { type FinetuneOutput, tunedModel } from './finetune.ts';
import { generalText, shuffleTags, tagText } from './pairTexts.ts';
import type { SweepOutput } from './sweep.ts';

const mapsParams = z.strictObject({
  behaviour: behaviourParams,
  after: z.int(),
  source_block: z.int().optional(),
  target_block: z.int().optional(),
  maps: z.array(mapSettingsSchema),
  prompts: z.int(),
  out_of_domain: z.int(),
  rows: z.int().optional(),
  splits: z.strictObject({ train: z.number(), validation: z.number(), test: z.number() }),
  sink_ratio: z.union([z.literal(false), z.number()]),
  batch: z.int(),
  rtol: z.number(),
  inverses: z.array(z.enum(['pinv', 'truncated', 'reverse_ridge'])),
  bootstrap: z.int(),
  /** Texts a group that are run teacher-forced for kl_div, top1_agreement and ce_delta. */
  forced: z.int().default(40),
});

/** Fitted maps lie in `maps/{label}.{fit}` of the stage's folder, inverses in `inverse/{method}`. */
export interface MapsOutput {
  readonly source_block: number;
  readonly target_block: number;
  readonly entries: Readonly<Record<string, Readonly<Partial<Record<MapFit, MapEntry>>>>>;
  readonly inverse: Readonly<Record<string, MapEntry>>;
  readonly pairing: Readonly<Record<keyof PairCounts, number>>;
}

interface Inputs {
  source: FinetuneOutput;
  target: FinetuneOutput;
  /** The source before its fine-tune. */
  clean: SourceOutput;
  data: DataOutput;
  sweepSource: SweepOutput;
  sweepTarget: SweepOutput;
}

/** Validation texts behind a point of a kl_div curve. */
const CURVE_TEXTS = 16;

/** Bytes of activation rows held while fitting; more is refused rather than swapped. */
const MOST_BYTES = 3 * 2 ** 30;

export const mapsStage = defineStage({
  name: 'maps',
  version: '1',
  module: import.meta.url,
  child: true,
  params: mapsParams,
  async run({
    params: p,
    inputs,
    folder,
    rng,
    seed,
    progress,
    signal,
    threads,
  }: StageContext<z.output<typeof mapsParams>, Inputs>): Promise<MapsOutput> {
    await using source = await LanguageModel.load(tunedModel(inputs.source.folder), { threads });
    await using target = await LanguageModel.load(tunedModel(inputs.target.folder), { threads });
    await using clean = await LanguageModel.load(inputs.clean.folder, { threads });
    const source_block = p.source_block ?? inputs.sweepSource.output.chosen;
    const target_block = p.target_block ?? inputs.sweepTarget.output.chosen;
    const hooks = {
      source: `blocks.${source_block}.hook_resid_post`,
      target: `blocks.${target_block}.hook_resid_post`,
    };

    // Texts, split by prompt.
    const rows = (await readRows(inputs.data.folder)).slice(0, p.prompts);
    const tagged = rows.map((row) => tagText(row, source.tokenizer, target.tokenizer, p.after));
    const split = splitByPrompt(tagged, p.splits, rng.fork('split'));
    const general = (await readGeneral(inputs.data.folder)).map((text, i) =>
      generalText(text, i, source.tokenizer, target.tokenizer),
    );
    const outOfDomain = general.slice(0, p.out_of_domain);
    const generalFit = splitByPrompt(
      general.slice(p.out_of_domain),
      { train: 0.9, validation: 0.1, test: 0 },
      rng.fork('general'),
    );

    const counts = noCounts();
    const read = async (
      texts: readonly PairedText[],
      from: LanguageModel,
      label: string,
      into?: PairCounts,
    ): Promise<PairSource> => {
      const dx = from.config.dModel;
      const dy = target.config.dModel;
      const most = Math.floor(MOST_BYTES / (4 * (dx + dy)));
      const expected = texts.reduce((n, t) => n + t.target.length, 0);
      if (p.rows === undefined && expected > most)
        throw new InputError(
          `maps: ${expected} token rows of width ${dx} + ${dy} exceed ${MOST_BYTES} bytes; set capture.rows or lower capture.prompts`,
        );
      progress({
        stage: 'maps',
        done: 0,
        total: texts.length,
        unit: 'texts',
        message: `reading ${texts.length} texts (${label})`,
      });
      const live = livePairs(
        texts,
        { decoder: from.decoder, hook: hooks.source },
        { decoder: target.decoder, hook: hooks.target },
        {
          sinkRatio: p.sink_ratio,
          batch: p.batch,
          signal,
          onProgress: progress,
          stage: `read ${label}`,
          ...(into === undefined ? {} : { counts: into }),
        },
      );
      return pairTable(dx, dy, [
        await collectPairs(
          live,
          p.rows === undefined ? {} : { maxRows: Math.min(most, p.rows), rng: rng.fork(`rows ${label}`) },
        ),
      ]);
    };
    const wants = (fit: MapFit): boolean => p.maps.some((m) => (m.fits as readonly string[]).includes(fit));
    const withTags: FitData = {
      train: await read(split.train, source, 'tagged', counts),
      validation: await read(split.validation, source, 'validation'),
    };
    const shuffled = p.maps.some((m) => m.kind === 'shuffled') ? await shuffledData() : undefined;
    const data: Partial<Record<MapFit, FitData>> = {
      with_tags: { ...withTags, ...(shuffled === undefined ? {} : { shuffled }) },
      no_tag_rows: { ...withTags, ...(shuffled === undefined ? {} : { shuffled }) },
      ...(wants('general') ? { general: await generalData() } : {}),
      ...(wants('clean_a')
        ? {
            clean_a: {
              train: await read(split.train, clean, 'clean A'),
              validation: await read(split.validation, clean, 'clean A validation'),
            },
          }
        : {}),
    };

    async function shuffledData(): Promise<NonNullable<FitData['shuffled']>> {
      const of = (texts: readonly PairedText[], name: string) =>
        shuffleTags(
          rows,
          new Map(texts.map((t) => [t.id, t])),
          p.behaviour,
          source.tokenizer,
          rng.fork(`shuffle ${name}`),
        );
      return {
        train: await read(of(split.train, 'train'), source, 'shuffled tags'),
        validation: await read(of(split.validation, 'validation'), source, 'shuffled tags validation'),
      };
    }
    async function generalData(): Promise<FitData> {
      if (generalFit.train.length === 0 || generalFit.validation.length === 0)
        throw new InputError(
          'maps: the fit `general` needs text beyond capture.out_of_domain; give more out-of-domain text',
        );
      return {
        train: await read(generalFit.train, source, 'general'),
        validation: await read(generalFit.validation, source, 'general validation'),
      };
    }

    // Fits.
    const end = async (m: LanguageModel, block: number, hook: string) => ({
      model: await m.checkpoint.contentHash(),
      name: m.checkpoint.path.split('/').at(-1) as string,
      block,
      hook,
      width: m.config.dModel,
    });
    const ends = {
      source: await end(source, source_block, hooks.source),
      clean: await end(clean, source_block, hooks.source),
      target: await end(target, target_block, hooks.target),
    };
    const context = (fit: MapFit, label: string): FitContext => ({
      fit,
      source: fit === 'clean_a' ? ends.clean : ends.source,
      target: ends.target,
      sourceTokenizer: tokenizerHash(source.tokenizer),
      targetTokenizer: tokenizerHash(target.tokenizer),
      data: textsHash(fit === 'general' ? generalFit.train : split.train),
      seed,
      rng: rng.fork(`fit ${label}.${fit}`),
      threads,
      signal,
    });
    /** kl_div over steps, for the kinds that have steps. */
    const curves = async (fit: MapFit, kind: MapSettings['kind']): Promise<Pick<FitContext, 'evaluate'>> => {
      if (kind !== 'affine-sgd' && kind !== 'autoencoder') return {};
      const from = fit === 'clean_a' ? clean : source;
      const { source: sourceEnd, target: targetEnd } = context(fit, kind);
      return {
        evaluate: await curveEvaluator({
          source: from,
          target,
          texts: split.validation.slice(0, CURVE_TEXTS),
          ends: { source: sourceEnd, target: targetEnd },
          signal,
        }),
      };
    };
    const fitted: { label: string; fit: MapFit; map: ActivationMap }[] = [];
    const jobs = p.maps.flatMap((settings) =>
      settings.fits.map((fit) => ({ settings, fit, label: mapLabel(settings) })),
    );
    for (const [i, { settings, fit, label }] of jobs.entries()) {
      progress({
        stage: 'maps',
        done: i,
        total: jobs.length,
        unit: 'maps',
        message: `fitting ${label}.${fit}`,
      });
      fitted.push({
        label,
        fit,
        map: await fitMap(fitSettings(settings), data[fit] as FitData, {
          ...context(fit, label),
          ...(await curves(fit, settings.kind)),
        }),
      });
    }
    const tokenMean =
      fitted.find((f) => f.map.kind === 'token-mean' && f.fit === 'with_tags')?.map ??
      (await fitMap({ kind: 'token-mean' }, withTags, context('with_tags', 'token-mean')));

    // Figures: safe and bad texts apart, on texts no fit has seen; out of domain there is no tag, so both names hold one figure.
    const groups = {
      validation: {
        safe: split.validation.filter((t) => t.label === 'safe'),
        bad: split.validation.filter((t) => t.label === 'bad'),
      },
      test: {
        safe: split.test.filter((t) => t.label === 'safe'),
        bad: split.test.filter((t) => t.label === 'bad'),
      },
      out_of_domain: { safe: outOfDomain },
    } as const;
    const figures = new Map<ActivationMap, Record<string, Record<string, MapFigures>>>();
    for (const [from, own] of [
      [source, fitted.filter((f) => f.fit !== 'clean_a')],
      [clean, fitted.filter((f) => f.fit === 'clean_a')],
    ] as const) {
      if (own.length === 0) continue;
      for (const [splitName, bySafety] of Object.entries(groups)) {
        for (const [safety, texts] of Object.entries(bySafety)) {
          if (texts.length === 0) continue;
          const maps = Object.fromEntries(own.map((f) => [`${f.label}.${f.fit}`, f.map]));
          const found = await mapFigures({
            source: from.decoder,
            target: target.decoder,
            texts,
            maps,
            tokenMean,
            forced: splitName === 'validation' ? 0 : p.forced,
            rng: rng.fork(`figures ${splitName} ${safety}`),
            resamples: p.bootstrap,
            batch: p.batch,
            sinkRatio: p.sink_ratio,
            signal,
            onProgress: progress,
            stage: `figures ${splitName}`,
          });
          for (const f of own) {
            const all = figures.get(f.map) ?? {};
            (all[splitName] ??= {})[safety] = found[`${f.label}.${f.fit}`] as MapFigures;
            figures.set(f.map, all);
          }
        }
      }
    }

    const entries: Record<string, Partial<Record<MapFit, MapEntry>>> = {};
    for (const { label, fit, map } of fitted) {
      await saveMap(map, join(folder, 'maps', `${label}.${fit}`));
      (entries[label] ??= {})[fit] = { ...entryOf(map), ...(figures.get(map) as object) };
    }

    // Inverses B→A. Their figures need one tokenizer: texts paired the other way round.
    const inverse: Record<string, MapEntry> = {};
    const aligned = split.test.some((t) => t.alignment !== undefined);
    const made =
      p.inverses.length === 0
        ? {}
        : await inverseMaps(p.inverses, withTags, context('with_tags', 'inverse'), { rtol: p.rtol });
    const back = Object.fromEntries(Object.entries(made)) as Record<string, ActivationMap>;
    const test: Record<string, Record<string, MapFigures>> = {};
    if (p.inverses.length > 0 && !aligned) {
      const lookup = await sourceTokenMean(withTags, context('with_tags', 'inverse lookup'));
      for (const safety of ['safe', 'bad'] as const) {
        if (groups.test[safety].length === 0) continue;
        test[safety] = await inverseFigures({
          source: source.decoder,
          target: target.decoder,
          texts: swapTexts(groups.test[safety]),
          maps: back,
          tokenMean: lookup,
          forced: p.forced,
          rng: rng.fork(`inverse figures ${safety}`),
          resamples: p.bootstrap,
          batch: p.batch,
          sinkRatio: p.sink_ratio,
          signal,
        });
      }
    }
    for (const [method, map] of Object.entries(back)) {
      await saveMap(map, join(folder, 'inverse', method));
      const own = Object.fromEntries(Object.entries(test).map(([safety, all]) => [safety, all[method]]));
      inverse[method] = {
        ...entryOf(map),
        ...(aligned ? {} : { test: own as NonNullable<MapEntry['test']> }),
      };
    }
    return { source_block, target_block, entries, inverse, pairing: { ...counts } };
  },
});

function fitSettings(map: MapSettings): FitSettings {
  return Object.fromEntries(
    Object.entries(map).filter(([key]) => key !== 'fits' && key !== 'name'),
  ) as unknown as FitSettings;
}

function entryOf(map: ActivationMap): MapEntry {
  const { rows, fitSeconds, settings, curves } = map.record;
  return {
    parameters: map.parameters,
    rows,
    fit_seconds: fitSeconds,
    settings: { ...settings },
    ...(curves === undefined ? {} : { curves }),
  };
}
