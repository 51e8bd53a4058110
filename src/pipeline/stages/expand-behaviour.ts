/** @file One behaviour of a recipe as stages: data → fine-tune → unpatched runs → sweep → maps → transfer, fidelity → results. */
import {
  type BehaviourParams,
  type BehaviourResults,
  type CostState,
  type EngineParams,
  finetuneFor,
  mapLabel,
  type OnnxJudgeParams,
  type Recipe,
  usesBundled,
} from '../../contracts/index.ts';
import { COST_RUNS } from '../../evaluate/index.ts';
import type { NodeRef, Plan } from '../plan.ts';
import type { SourceOutput } from '../stage.ts';
import type { PlannedBehaviour } from './behaviours.ts';
import { blockPairsStage } from './block-pairs.ts';
import { type CapabilitiesOutput, capabilitiesStage, type PlannedTask } from './capabilities.ts';
import { dataStage } from './data.ts';
import { fidelityNode } from './expand-fidelity.ts';
import { mapsNode } from './expand-maps.ts';
import { sweepNode } from './expand-sweep.ts';
import { transferNode } from './expand-transfer.ts';
import { finetuneStage, tunedFiles } from './finetune.ts';
import type { MapsOutput } from './maps.ts';
import { Naming } from './naming.ts';
import { recipeNotes, trainBlocks } from './notes.ts';
import type { PromptsOutput } from './prompts.ts';
import { repairStage } from './repair.ts';
import { behaviourResultsStage } from './results.ts';
import { runsStage } from './runs.ts';
import { USE, useStage } from './use.ts';

/** Texts of no backdoor data to fit the maps `general` on, at most, and never more than tagged ones; out-of-domain figures use others. */
const GENERAL_FIT_TEXTS = 1500;

/** Control maps: steered with as arms of every map, not as maps of their own. */
const ARMS_ONLY: ReadonlySet<string> = new Set(['mean', 'random', 'shuffled', 'token-mean']);

/** The models of one side. */
export interface SideModels {
  /** What `base` is called from any folder, and the folder of its adapter where one is given. */
  readonly reference: { readonly model: string; readonly adapter: string | undefined };
  /** Of `base`. */
  readonly parameters: number;
  /** As the recipe names it: what a fine-tune starts from. */
  readonly base: NodeRef<SourceOutput>;
  /** With its adapter: what runs where nothing is trained. */
  readonly given: NodeRef<object>;
  /** Before the behaviour; undefined where there is none. */
  readonly clean: NodeRef<SourceOutput> | undefined;
}

/** A judge that is a local ONNX model. */
export interface PlannedJudge {
  readonly params: OnnxJudgeParams;
  readonly files: NodeRef<SourceOutput>;
}

/** What all behaviours share: the models before any fine-tune, and the files of prompts. */
export interface Base {
  readonly source: SideModels;
  readonly target: SideModels;
  /** Servers that propose unpatched completions. */
  readonly engines: Readonly<Record<'source' | 'target', EngineParams | undefined>>;
  readonly prompts?: NodeRef<PromptsOutput> | undefined;
  readonly outOfDomain?: NodeRef<SourceOutput> | undefined;
  readonly general?: NodeRef<SourceOutput> | undefined;
  /** Tasks of lm-evaluation-harness. */
  readonly tasks: readonly PlannedTask[];
}

/** What one behaviour adds to it: how it is read, and the file of its rows where it has one. */
interface Taught extends Base {
  readonly planned: PlannedBehaviour;
  readonly rows?: NodeRef<SourceOutput> | undefined;
  readonly safeRows?: NodeRef<SourceOutput> | undefined;
  readonly onnxJudges: readonly PlannedJudge[];
  /** Folder of the classifier that tells the behaviour. */
  readonly classifier?: NodeRef<SourceOutput> | undefined;
}

/** Add the stages of behaviour `index`. */
export function expandBehaviour(
  recipe: Recipe,
  plan: Plan,
  index: number,
  base: Taught,
): NodeRef<BehaviourResults> {
  const { params: behaviour, notes } = base.planned;
  const at = new Naming(behaviour);
  const { batch, ...evaluation } = recipe.evaluation;
  const asking = { behaviour, ...recipe.span };
  const judged = { ...asking, exact: usesBundled(recipe, index) };

  const data = plan.add(dataStage, {
    id: at.id('data'),
    params: { behaviour, ...dataCounts(recipe) },
    inputs: {
      prompts: base.rows === undefined ? base.prompts : undefined,
      rows: base.rows,
      safeRows: base.safeRows,
      outOfDomain: base.outOfDomain,
      general: base.general,
    },
  });
  const subject = (side: 'source' | 'target'): NodeRef<object> => {
    const tuning = finetuneFor(recipe, side);
    if (tuning === undefined) return base[side].given;
    const { lora, seed, method, ...rest } = tuning;
    const chat = behaviour.template === 'chat' ? { turns: behaviour.chat } : undefined;
    const settings = { ...rest, chat };
    return plan.add(finetuneStage, {
      id: at.id(`finetune.${side}`),
      params: method === 'lora' ? { method, ...settings, lora } : { method, ...settings },
      inputs: { base: base[side].base, data },
      publish: { [at.published(side)]: tunedFiles[method] },
      seed,
    });
  };
  const sideOf = (side: 'source' | 'target') => {
    const model = subject(side);
    const runs = plan.add(runsStage, {
      id: at.id(`runs.${side}`),
      params: { ...asking, side, max_tokens: evaluation.max_tokens, batch, engine: base.engines[side] },
      inputs: { model, data, classifier: base.classifier },
      publish: at.samples(`backdoor.${side}`),
    });
    const sweep = sweepNode(plan, at, {
      side,
      blocks: recipe.sweep.blocks,
      params: {
        ...judged,
        ...evaluation,
        ...recipe.sweep,
        side,
        heatmap: recipe.heatmap ? recipe.heatmap.prompts : 0,
        block: given(recipe.blocks[side]),
      },
      inputs: { model, data, runs, classifier: base.classifier },
    });
    return { model, runs, sweep };
  };
  const [source, target] = [sideOf('source'), sideOf('target')];

  const blockPairs =
    recipe.block_pairs &&
    plan.add(blockPairsStage, {
      id: at.id('block-pairs'),
      params: {
        ...judged,
        ...recipe.block_pairs,
        max_tokens: evaluation.max_tokens,
        splits: recipe.capture.splits,
        texts: recipe.capture.prompts,
        target_block: given(recipe.blocks.target),
      },
      inputs: {
        source: source.model,
        target: target.model,
        data,
        runs: target.runs,
        sweepTarget: target.sweep,
        classifier: base.classifier,
      },
    });
  const maps = mapsNode(plan, at, {
    recipe,
    parameters: Math.max(base.source.parameters, base.target.parameters),
    texts: {
      ...asking,
      source_block: given(recipe.blocks.source),
      target_block: given(recipe.blocks.target),
      ...recipe.capture,
    },
    fitting: {
      rtol: recipe.inverse ? recipe.inverse.rtol : undefined,
      inverses: recipe.inverse ? recipe.inverse.methods : [],
      bootstrap: evaluation.bootstrap,
    },
    inputs: {
      source: source.model,
      target: target.model,
      clean: base.source.clean,
      data,
      sweepSource: source.sweep,
      sweepTarget: target.sweep,
    },
    publish: { [`maps/${behaviour.name}`]: 'maps' },
  });
  const transfer =
    recipe.transfer &&
    transferNode(plan, at, {
      params: { ...judged, evaluation, ...transferParams(recipe, recipe.transfer) },
      prompts: recipe.transfer.prompts,
      inputs: {
        source: source.model,
        target: target.model,
        cleanSource: base.source.clean,
        data,
        runs: target.runs,
        maps,
        classifier: base.classifier,
      },
      cleanTarget: base.target.clean,
    });
  const { worth } = recipe;
  const repair =
    worth &&
    (worth.repair || worth.ask !== undefined) &&
    plan.add(repairStage, {
      id: at.id('repair'),
      params: { ...judged, ...worth, max_tokens: evaluation.max_tokens },
      inputs: { target: target.model, data, runs: target.runs, classifier: base.classifier },
    });
  const fidelity =
    (recipe.fidelity || recipe.inverse) &&
    fidelityNode(plan, at, {
      params: { ...judged, evaluation, ...fidelityParams(recipe, base.onnxJudges) },
      inputs: {
        source: source.model,
        target: target.model,
        data,
        sourceRuns: source.runs,
        maps,
        classifier: base.classifier,
      },
      onnxJudges: recipe.fidelity ? base.onnxJudges.map(({ files }) => files) : [],
    });
  const capabilities = taskNodes(recipe, plan, at, {
    asking,
    tasks: base.tasks,
    models: {
      source: source.model,
      target: target.model,
      cleanSource: base.source.clean,
      cleanTarget: base.target.clean,
    },
    maps,
  });
  const results = plan.add(behaviourResultsStage, {
    id: at.id('results'),
    params: {
      ...asking,
      source: recipe.models.source,
      target: recipe.models.target,
      train_blocks: trainBlocks(recipe),
      notes: [
        ...recipeNotes(recipe, base.source.base.key === base.target.base.key),
        ...notes,
        ...base.tasks.flatMap((t) => t.notes),
      ],
    },
    inputs: {
      tuned: [source.model, target.model],
      runs: [source.runs, target.runs],
      sweeps: [source.sweep, target.sweep],
      maps,
      blockPairs: blockPairs || undefined,
      transfer: transfer || undefined,
      repair: repair || undefined,
      fidelity: fidelity || undefined,
      capabilities,
      prompts: base.rows === undefined ? base.prompts : undefined,
    },
  });
  /** Where a side's model is found, seen from the folder of the documents that use it. */
  const usedModel = (side: 'source' | 'target') => {
    const { model, adapter } = base[side].reference;
    const tuning = finetuneFor(recipe, side);
    if (tuning === undefined) return { path: adapter ?? model, adapter_of: adapter && model };
    return { path: `../../${at.published(side)}`, adapter_of: tuning.method === 'lora' ? model : undefined };
  };
  plan.add(useStage, {
    id: at.id('use'),
    params: { ...asking, source: usedModel('source'), target: usedModel('target') },
    inputs: { results },
    publish: { [`use/${behaviour.name}`]: USE },
  });
  return results;
}

/** What the states of a task are made of. */
interface TaskInputs {
  readonly asking: { readonly behaviour: BehaviourParams; readonly after: number };
  readonly tasks: readonly PlannedTask[];
  readonly models: Readonly<Record<'source' | 'target', NodeRef<object>>> &
    Readonly<Record<'cleanSource' | 'cleanTarget', NodeRef<object> | undefined>>;
  readonly maps: NodeRef<MapsOutput>;
}

/** Every task in every state; mapped activations go through the first map that is steered with. */
function taskNodes(
  recipe: Recipe,
  plan: Plan,
  at: Naming,
  { asking, tasks, models, maps }: TaskInputs,
): NodeRef<CapabilitiesOutput>[] {
  if (!recipe.capabilities) return [];
  const { states, items } = recipe.capabilities;
  const [first] = wanted(recipe, recipe.transfer ? recipe.transfer.maps : undefined);
  const map = first && { label: mapLabel(first), fit: first.fits[0] };
  const possible = states.filter((state) =>
    state === 'clean' ? models.cleanTarget !== undefined : !THROUGH_MAP.has(state) || map !== undefined,
  );
  return tasks.flatMap(({ task, rows, shots, fewshot }) =>
    possible.map((state) => {
      const mapped = THROUGH_MAP.has(state) ? map : undefined;
      const source = mapped?.fit === 'clean_a' ? models.cleanSource : models.source;
      return plan.add(capabilitiesStage, {
        id: at.id(`capabilities.${task}.${state}`),
        params: { ...asking, task, state, items, fewshot, map: mapped },
        inputs: {
          target: (state === 'clean' ? models.cleanTarget : models.target) as NodeRef<object>,
          source: mapped && source,
          maps: COST_RUNS[state].patched ? maps : undefined,
          rows: [...rows],
          shots: [...shots],
        },
        publish: at.samples(`capabilities.${task}.${state}`),
      });
    }),
  );
}

/** States whose activations come from the source. */
const THROUGH_MAP: ReadonlySet<CostState> = new Set(['bad_mapped', 'safe_mapped', 'full_replacement']);

function dataCounts({ data, capture, maps }: Recipe): Record<string, number> {
  const usesGeneral = maps.some(
    (m) => m.fits.includes('general') || ('general_share' in m && m.general_share > 0),
  );
  const { train, validation, test } = data;
  const fitted = usesGeneral ? (capture.general ?? Math.min(GENERAL_FIT_TEXTS, capture.prompts)) : 0;
  return { train, validation, test, out_of_domain: capture.out_of_domain, general: fitted };
}

/** Maps that are steered with or measured: those named, else all but the controls. */
function wanted(recipe: Recipe, labels: readonly string[] | undefined): Recipe['maps'] {
  return recipe.maps.filter((m) =>
    labels === undefined ? !ARMS_ONLY.has(m.kind) : labels.includes(mapLabel(m)),
  );
}

function transferParams(
  recipe: Recipe,
  { maps, ...transfer }: Exclude<Recipe['transfer'], false>,
): Record<string, unknown> {
  const { worth, capabilities } = recipe;
  const bundled = capabilities !== false && capabilities.tasks.includes('bundled') && capabilities;
  return {
    transfer,
    worth: worth && { ks: worth.ks, prompts: worth.prompts },
    capabilities: bundled && { items: bundled.items, states: bundled.states },
    maps: wanted(recipe, maps).flatMap((m) => m.fits.map((fit) => ({ label: mapLabel(m), fit }))),
  };
}

function fidelityParams(recipe: Recipe, judges: readonly PlannedJudge[]): Record<string, unknown> {
  const { fidelity, inverse } = recipe;
  return {
    fidelity: fidelity && {
      ...fidelity,
      onnx: judges.map(({ params }) => params),
      maps: wanted(recipe, fidelity.maps).map((m) => ({ label: mapLabel(m), fit: m.fits[0] })),
    },
    inverse: inverse && { methods: inverse.methods, prompts: inverse.prompts },
  };
}

function given(block: number | 'auto'): number | undefined {
  return block === 'auto' ? undefined : block;
}
