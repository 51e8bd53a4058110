/** @file What steering transfer over several maps is given. */
import type {
  CapabilitySettings,
  EvaluationSettings,
  MapFit,
  TransferSettings,
  WorthSettings,
} from '../../contracts/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { BlockOf } from '../arms/spans.ts';
import type { CostItem } from '../cost/capabilities.ts';
import type { ContrastCase } from '../subject/cases.ts';
import type { Subject } from '../subject/subject.ts';

/** A map under its keys in `results.json`. */
export interface LabelledMap {
  readonly label: string;
  readonly map: ActivationMap;
}

/** Who is steered by whom, on which prompts. */
export interface TransferInput {
  readonly behaviour: string;
  readonly target: BlockOf;
  /** Where a fit's activations come from (`clean_a`: the source before its fine-tune; `embedding_a`: before its block 0). */
  readonly source: (fit: MapFit) => BlockOf;
  /** Test prompts with the target's unpatched completions. */
  readonly subject: Subject;
  /** Validation prompts, on which α is chosen; without them (and several α) it is 1. */
  readonly validation?: Subject | undefined;
  /** Labelled training prompts: for the static vector, and for the native vector of k prompts. */
  readonly training: readonly ContrastCase[];
  /** The first is the one whose cost is measured. */
  readonly maps: readonly LabelledMap[];
  readonly controls: {
    readonly shuffled?: ActivationMap | undefined;
    readonly tokenMean?: ActivationMap | undefined;
  };
  /** Task items of the first prompts, and the target before its fine-tune, for the state `clean`. */
  readonly cost?:
    | { readonly items: readonly CostItem[]; readonly clean: (() => Promise<LanguageModel>) | undefined }
    | undefined;
}

/** Settings of {@link transferExperiment}: the recipe's sections. */
export interface TransferParams {
  readonly evaluation: Omit<EvaluationSettings, 'batch'>;
  readonly transfer: Omit<TransferSettings, 'prompts' | 'maps'>;
  readonly worth: Pick<WorthSettings, 'ks' | 'prompts'> | false;
  readonly capabilities: Pick<CapabilitySettings, 'states'> | false;
}
