/** @file `resolveModel`: what a person writes for a model, anywhere: a bundled name, a path, or `org/name[@rev]`. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InputError } from '../../base/index.ts';
import { type PullOptions, pullModel, type SurveyedModel, surveyModel } from './pull.ts';
import { isPath } from './reference.ts';

/** The models every copy of crosspatch ships with; other folders of `assets/tiny` count as bundled too. */
const SHIPPED = ['tiny-llama-s', 'tiny-llama-m', 'tiny-qwen'] as const;

/** A reference, understood. */
export interface ResolvedModel {
  readonly kind: 'bundled' | 'path' | 'hub';
  /** For `openCheckpoint`. */
  readonly path: string;
  /** Of a model of the hub: what `main`, or the revision asked for, is. */
  readonly commit?: string;
  /** Bytes of its weights that are not there, for who asked to leave them out. */
  readonly missingBytes: number;
}

/** Options of {@link resolveModel}. */
export interface ResolveOptions extends PullOptions {
  /** Folder of the bundled models. Defaults to the package's own `assets/tiny`. */
  readonly bundledRoot?: string;
  /** False: of a model of the hub fetch what says what it is, and not its weights (see `surveyModel`). Defaults to true. */
  readonly weights?: boolean;
}

/**
 * Find a model. A bundled name wins over a path of the same name (write `./tiny-llama-s` for the path); a path never
 * touches the network; anything else of the form `org/name[@rev]` is pulled from the hub.
 *
 * @throws InputError when a bundled model is not in this copy, or the word is neither name nor path nor reference
 * @example const { path } = await resolveModel('tiny-llama-s');
 */
export async function resolveModel(reference: string, options: ResolveOptions = {}): Promise<ResolvedModel> {
  const { bundledRoot = bundledModelsRoot(), weights = true, ...pull } = options;
  const bundled = bundledModels(bundledRoot).find((model) => model.name === reference);
  if (bundled !== undefined) {
    if (!bundled.present)
      throw new InputError(
        `model ${reference}: wanted the bundled model in ${bundled.path}, got nothing there; make it with npm run tiny:train in a checkout`,
        { id: 'model-not-found' },
      );
    return { kind: 'bundled', path: bundled.path, missingBytes: 0 };
  }
  if (!isPath(reference)) {
    const whole = async (): Promise<SurveyedModel> => ({
      path: await pullModel(reference, pull),
      missingBytes: 0,
    });
    const found = weights ? await whole() : await surveyModel(reference, pull);
    return { kind: 'hub', ...found, commit: basename(found.path) };
  }
  if (!existsSync(reference))
    throw new InputError(
      `model ${reference}: wanted a bundled model (${bundledModels(bundledRoot)
        .map((model) => model.name)
        .join(', ')}), a path or org/name on the hub, got no such file or folder; check the name`,
      { id: 'model-not-found' },
    );
  return { kind: 'path', path: reference, missingBytes: 0 };
}

/** The bundled models, and whether each is in this copy. */
export function bundledModels(
  root: string = bundledModelsRoot(),
): { readonly name: string; readonly path: string; readonly present: boolean }[] {
  const there = existsSync(root) ? readdirSync(root) : [];
  const names = new Set<string>([
    ...SHIPPED,
    ...there.filter((name) => existsSync(join(root, name, 'config.json'))),
  ]);
  return [...names].map((name) => {
    const path = join(root, name);
    return { name, path, present: existsSync(join(path, 'config.json')) };
  });
}

/** `assets/tiny` beside crosspatch's own package.json, from source as well as installed. */
function bundledModelsRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return join(folder, 'assets', 'tiny');
}
