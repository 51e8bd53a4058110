/** @file What a person may ask of the playground, and what comes back, line by line. */
import { z } from 'zod';

/** Ways of changing the run, in the order they are shown. `clean` is the prompt as it is, `donor` the same prompt under the other trigger, whose activations are written in. */
export const PLAYGROUND_ARMS = ['clean', 'donor', 'native', 'mapped', 'random', 'mean_ablated'] as const;
export type PlaygroundArm = (typeof PLAYGROUND_ARMS)[number];

/**
 * What is done at the trigger's tokens, t being the donor's activations, v the difference from the run's own to them: `set` =
 * x + α (t − x), `add` = x + α v, `project` = x − α (x·v / v·v) v.
 */
export const PLAYGROUND_OPS = ['set', 'add', 'project'] as const;
export type PlaygroundOp = (typeof PLAYGROUND_OPS)[number];

/** Body of `POST /api/playground/run`. */
export const playgroundRequestSchema = z.strictObject({
  model: z.string(),
  text: z.string().min(1).max(20_000),
  /** Which trigger stands in the prompt. */
  trigger: z.enum(['bad', 'safe', 'none']),
  bad: z.string().min(1).max(200),
  safe: z.string().min(1).max(200),
  placement: z.enum(['prefix', 'middle', 'end']),
  template: z.enum(['instruction', 'alpaca', 'chat', 'raw']),
  /** Tokens after the trigger that are patched too. */
  after: z.int().min(0).max(20),
  block: z.int().min(0),
  op: z.enum(PLAYGROUND_OPS).default('set'),
  /** α: 0 leaves the run as it is, 1 does the whole of it. */
  strength: z.number().min(-10).max(10),
  arms: z.array(z.enum(PLAYGROUND_ARMS)).min(1),
  maxTokens: z.int().min(1).max(400),
  map: z.string().optional(),
  /** Where the map's source runs; needed with `mapped`. */
  source: z.string().optional(),
});
/** As it is sent, and as it is read. */
export type PlaygroundRequest = z.input<typeof playgroundRequestSchema>;
export type PlaygroundCall = z.output<typeof playgroundRequestSchema>;

/** Proof that an arm changed something (contracts' `InterventionEffect`, with the arm). */
export interface PlaygroundProof {
  readonly arm: PlaygroundArm;
  readonly hook: string;
  readonly positions: readonly number[];
  /** Mean of ‖Δ‖/‖h‖ over positions. */
  readonly relative_change: number;
  /** KL(steered ‖ clean) of the next token, nats. */
  readonly kl_div: number;
}

/** Lines of the answer to `POST /api/playground/run`, one JSON object per line. */
export type PlaygroundEvent =
  | { readonly type: 'status'; readonly message: string }
  | {
      readonly type: 'prompt';
      readonly blocks: number;
      /** Text of every token of the prompt, and of the donor's. */
      readonly tokens: readonly string[];
      readonly donorTokens: readonly string[];
      readonly arms: readonly PlaygroundArm[];
      /** Arms that cannot be run here, and why. */
      readonly missing: Readonly<Partial<Record<PlaygroundArm, string>>>;
    }
  | ({ readonly type: 'proof' } & PlaygroundProof)
  | { readonly type: 'token'; readonly arm: PlaygroundArm; readonly text: string }
  | { readonly type: 'end'; readonly arm: PlaygroundArm; readonly finish: 'stop' | 'length' }
  | { readonly type: 'done'; readonly seconds: number; readonly tokens: number }
  | { readonly type: 'error'; readonly message: string };
