/** @file What a person may ask of the steering page, and what comes back, line by line. */
import { z } from 'zod';
import { templateNames } from '../../behaviours/index.ts';
import { STEER_PLACES, type SteerEvent } from '../../evaluate/index.ts';

/** Most texts per list: a page is for a quick try; `crosspatch vector` takes files. */
const TEXTS = 64;

const texts = z.array(z.string().min(1).max(4000)).min(1).max(TEXTS);
const textsSchema = z.strictObject({
  positive: texts,
  negative: texts,
  template: z.enum(templateNames),
  position: z.enum(['last', 'mean', 'span']),
});

const alpha = z.number().min(-1e6).max(1e6);
const site = {
  block: z.int().min(0).max(10_000),
  alpha,
  place: z.enum(STEER_PLACES),
  /** What `place: text` looks for in the prompt. */
  text: z.string().max(1000),
  generated: z.boolean(),
};
/** One vector of the page; `id` is one of those offered. */
const vectorSchema = z
  .discriminatedUnion('from', [
    z.strictObject({ from: z.literal('file'), id: z.string().max(2000), ...site }),
    z.strictObject({ from: z.literal('texts'), texts: textsSchema, ...site }),
    z.strictObject({ from: z.literal('document'), id: z.string().max(2000), alpha }),
  ])
  .refine((v) => v.from === 'document' || v.place !== 'text' || v.text !== '', {
    path: ['text'],
    message: 'wanted the text of the prompt at which to steer',
  });

const vectors = z.array(vectorSchema).min(1).max(6);

/** Body of `POST /api/steer/run`. */
export const steerRequestSchema = z.strictObject({
  model: z.string(),
  text: z.string().min(1).max(20_000),
  template: z.enum(templateNames),
  /** System text of the template `chat`. */
  system: z.string().max(20_000).optional(),
  vectors,
  /** Factors on all vectors together. */
  strengths: z.array(z.number().min(-1000).max(1000)).min(1).max(11),
  /** Each draws one more answer. */
  seeds: z
    .array(
      z
        .int()
        .min(0)
        .max(2 ** 31),
    )
    .max(5),
  temperature: z.number().min(0).max(5),
  maxTokens: z.int().min(1).max(200),
});
/** Body of `POST /api/steer/vector`. */
export const steerMakeSchema = z.strictObject({ model: z.string(), texts: textsSchema });
/** Body of `POST /api/steer/document`. */
export const steerDocumentSchema = z.strictObject({
  model: z.string(),
  vectors,
  strength: z.number().min(-1000).max(1000),
});

/** As it is sent, and as it is read. */
export type SteerRequest = z.input<typeof steerRequestSchema>;
export type SteerCall = z.output<typeof steerRequestSchema>;
export type SteerMake = z.output<typeof steerMakeSchema>;
export type SteerSave = z.output<typeof steerDocumentSchema>;
/** A vector in the address of the page. */
export type SteerVectorRequest = SteerRequest['vectors'][number];

/** Lines of the answer to `POST /api/steer/run`, one JSON object per line. */
export type SteerStreamEvent = SteerEvent | { readonly type: 'error'; readonly message: string };
