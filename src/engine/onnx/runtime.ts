/**
 * @file ONNX Runtime sessions: the settings every one gets, who does the arithmetic, and sharing of equal ones.
 *
 * Settings measured on two cores (docs/decisions/0002): several sessions share the machine only without the memory arena
 * and with threads that spin while their session runs and never after; otherwise idle thread pools fight and the high-water
 * mark doubles.
 */
import { env, InferenceSession } from 'onnxruntime-node';
import { errorLine, InputError } from '../../base/index.ts';
import { input, neg } from '../graph.ts';
import { emitOnnx } from './emit.ts';

/** Who does the arithmetic. `cpu` and `webgpu` ship with the package; the rest need a build of ONNX Runtime that has them. */
export type Provider = 'cpu' | 'webgpu' | 'cuda' | 'coreml' | 'dml';

/** What each provider needs, for the error of a machine that lacks it. */
const needs: Readonly<Record<Provider, string>> = {
  cpu: 'nothing',
  webgpu: 'a GPU with a Vulkan, Metal or Direct3D 12 driver',
  cuda: 'an NVIDIA GPU, CUDA 12 and its libraries (ONNXRUNTIME_NODE_INSTALL=cuda12 at install)',
  coreml: 'macOS',
  dml: 'Windows',
};

/** Settings of one native session. */
interface OrtSettings {
  readonly provider: Provider;
  readonly threads: number | undefined;
  /** Real path of the folder external weights are named in. */
  readonly weightsFolder: string | undefined;
  /** Graphs in f64 are optimised less: the SiLU fusion of higher levels has no f64 kernel. */
  readonly float64: boolean;
}

/** Set to `error`, the runtime prints which library of a provider is missing, which its errors do not say. */
export const RUNTIME_LOG_VARIABLE = 'CROSSPATCH_RUNTIME_LOG';

// Whatever goes wrong is thrown; the runtime need not print it as well. Read once, when the first session is made.
env.logLevel = process.env[RUNTIME_LOG_VARIABLE] === 'error' ? 'error' : 'fatal';

/** Load and optimise an encoded model, or the file of one. Throws `InputError` when the provider cannot be had here, else what the runtime says. */
export async function createOrtSession(
  model: Uint8Array | string,
  settings: OrtSettings,
): Promise<InferenceSession> {
  if (!Object.hasOwn(needs, settings.provider)) {
    throw new InputError(
      `provider: wanted one of ${Object.keys(needs).join(', ')}, got ${JSON.stringify(settings.provider)}`,
      { id: 'provider-unavailable' },
    );
  }
  try {
    // The overloads take a path or bytes; a union selects neither.
    return await InferenceSession.create(model as string, options(settings));
  } catch (error) {
    if (settings.provider !== 'cpu') await probe(settings.provider);
    throw error;
  }
}

function options({
  provider,
  threads,
  weightsFolder,
  float64,
}: OrtSettings): InferenceSession.SessionOptions {
  return {
    executionProviders: [provider],
    graphOptimizationLevel: float64 ? 'basic' : 'all',
    enableCpuMemArena: false,
    logSeverityLevel: 4,
    // The runtime refuses an explicit undefined, here and below.
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    extra: {
      session: {
        intra_op: { allow_spinning: '1', spin_duration_us: '1000' },
        force_spinning_stop: '1',
        ...(weightsFolder === undefined
          ? {}
          : { model_external_initializers_file_folder_path: weightsFolder }),
      },
    },
  };
}

/** Throw if not even the smallest model loads on this provider: then it is not the model's fault. */
async function probe(provider: Provider): Promise<void> {
  const model = emitOnnx({ name: 'probe', outputs: { y: neg(input('x', 'f32', [1])) } });
  try {
    const session = await InferenceSession.create(
      model,
      options({ provider, threads: undefined, weightsFolder: undefined, float64: false }),
    );
    await session.release();
  } catch (error) {
    const line = errorLine(error);
    const reason = line.slice(line.lastIndexOf('was false.') + 1).replace(/^as false\.\s*/, '');
    throw new InputError(
      `provider ${provider} cannot be had on this machine; it needs ${needs[provider]}; take cpu (the runtime says: ${reason.trim()})`,
      { id: 'provider-unavailable', cause: error },
    );
  }
}

/** A native session that several owners may hold. */
export interface SharedOrt {
  readonly ort: InferenceSession;
  /** Give it back; the last owner frees it. */
  release(): Promise<void>;
}

const shared = new Map<string, { readonly ort: Promise<InferenceSession>; owners: number }>();

/** The session under `key`, made by `create` when no owner holds one. */
export async function shareOrtSession(
  key: string,
  create: () => Promise<InferenceSession>,
): Promise<SharedOrt> {
  const found = shared.get(key) ?? { ort: create(), owners: 0 };
  shared.set(key, found);
  found.owners++;
  const leave = (): boolean => {
    if (--found.owners > 0) return false;
    if (shared.get(key) === found) shared.delete(key);
    return true;
  };
  try {
    const ort = await found.ort;
    return { ort, release: async () => void (leave() && (await ort.release())) };
  } catch (error) {
    leave();
    throw error;
  }
}
