/** @file What a manifest says of the surroundings: machine, versions, commit. Nothing here may change a result. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Manifest } from '../contracts/index.ts';
import { modelProvider } from '../engine/index.ts';

const exec = promisify(execFile);

/** The folder of crosspatch's own package.json: holds `recipes/` and `assets/`, from source as well as installed. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

export function describeMachine(): Manifest['machine'] {
  return {
    platform: platform(),
    arch: arch(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory_bytes: totalmem(),
    node: process.versions.node,
    execution_provider: modelProvider(),
  };
}

/** Memory this process may use, bytes: the machine's, or what its container was given. */
export function availableMemory(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}

/** crosspatch's version and those of its direct dependencies, which are pinned exactly. */
export async function packageVersions(): Promise<Record<string, string>> {
  const text = await readFile(join(packageRoot(), 'package.json'), 'utf8');
  const { version, dependencies } = JSON.parse(text) as {
    version: string;
    dependencies: Record<string, string>;
  };
  return { crosspatch: version, ...dependencies };
}

/** The commit crosspatch runs from, when it runs from a checkout. */
export async function gitState(): Promise<{ git_commit?: string; git_dirty?: boolean }> {
  const root = packageRoot();
  if (!existsSync(join(root, '.git'))) return {};
  try {
    const git = async (...args: string[]) => (await exec('git', ['-C', root, ...args])).stdout.trim();
    const git_commit = await git('rev-parse', 'HEAD');
    const changed = await git('status', '--porcelain', '--untracked-files=no');
    return { git_commit, git_dirty: changed !== '' };
  } catch {
    return {};
  }
}
