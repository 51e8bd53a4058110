/** @file `doctor`: what this machine has for crosspatch. What loads a driver is tried in a process of its own, which the driver may end. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type Command, Option } from 'commander';
import { CrosspatchError, errorLine } from '../../base/index.ts';
import { PROVIDERS, type Provider, RUNTIME_LOG_VARIABLE, tryProvider } from '../../engine/index.ts';
import { cacheEntries, cacheRoot } from '../../models/index.ts';
import { availableMemory, describeMachine, packageVersions } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { byteSize, textTable } from '../table.ts';

interface DoctorOptions extends CommonOptions {
  readonly only?: Provider;
}

/** `error` is relative to float64; `reason` is why it does not work. */
interface ProviderState {
  readonly provider: Provider;
  readonly works: boolean;
  readonly error?: number;
  readonly reason?: string;
}

/** Packages that some options want, with the option. */
const OPTIONAL = {
  bullmq: '--queue',
  ioredis: '--queue redis://',
  pg: '--queue postgres://',
  '@aws-sdk/client-s3': '--store s3://',
  '@aws-sdk/lib-storage': '--store s3://',
} as const;

/** Providers that load a driver of the system. */
const DRIVERS: readonly Provider[] = ['webgpu', 'cuda'];

/** A driver that does not answer for so long is given up. */
const DEADLINE_MS = 60_000;

export function addDoctor(program: Command, cli: Cli): void {
  declare(
    program,
    'doctor',
    'Say what this machine has: processor, memory, versions, cache, optional packages, and which providers compute here, how exactly, or why not.',
    'doctor',
  )
    .addOption(new Option('--only <provider>', 'try this provider alone, in this process').choices(PROVIDERS))
    .action((options: DoctorOptions) => doctor(options, cli));
}

async function doctor(options: DoctorOptions, cli: Cli): Promise<void> {
  const { only } = options;
  const wanted = only === undefined ? PROVIDERS : [only];
  const providers = await Promise.all(
    wanted.map((p) => (only === undefined && DRIVERS.includes(p) ? stateElsewhere(p) : stateHere(p))),
  );
  if (only !== undefined) {
    if (options.json) printJson(cli, { providers });
    else cli.out(providerTable(providers));
    return;
  }
  const machine = { ...describeMachine(), available_memory_bytes: availableMemory() };
  const { crosspatch, 'onnxruntime-node': runtime } = await packageVersions();
  const entries = await cacheEntries();
  const cache = { path: cacheRoot(), bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0) };
  const packages = Object.entries(OPTIONAL).map(([name, option]) => ({
    name,
    option,
    installed: isInstalled(name),
  }));
  if (options.json) {
    printJson(cli, { crosspatch, runtime, machine, cache, packages, providers });
    return;
  }
  const { cpu, cores, platform, arch, node } = machine;
  cli.out(
    `crosspatch ${crosspatch}, ONNX Runtime ${runtime}, Node ${node}, ${platform} ${arch}\n` +
      `${cpu}, ${cores} threads; memory ${byteSize(machine.memory_bytes)}, of which ${byteSize(machine.available_memory_bytes)} may be used\n` +
      `cache ${cache.path}: ${byteSize(cache.bytes)}\n` +
      `optional packages: ${packages.map(({ name, option, installed }) => `${name} (${option}) ${installed ? 'installed' : 'not installed'}`).join(', ')}\n\n` +
      providerTable(providers),
  );
}

function providerTable(providers: readonly ProviderState[]): string {
  const rows = providers.map(({ provider, works, error, reason }) => [
    provider,
    works ? 'computes' : 'does not',
    works ? `within ${error?.toExponential(1)} of float64` : (reason ?? ''),
  ]);
  return textTable([['provider', 'here', 'how exactly, or why not'], ...rows]);
}

async function stateHere(provider: Provider): Promise<ProviderState> {
  try {
    return { provider, works: true, error: await tryProvider(provider) };
  } catch (error) {
    return {
      provider,
      works: false,
      reason: error instanceof CrosspatchError ? error.message : errorLine(error),
    };
  }
}

/** As `doctor --only` says it in another process. */
async function stateElsewhere(provider: Provider): Promise<ProviderState> {
  const args = [...program(), 'doctor', '--only', provider, '--json'];
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
      timeout: DEADLINE_MS,
      env: { ...process.env, [RUNTIME_LOG_VARIABLE]: 'error' },
    });
    const [state] = (JSON.parse(stdout) as { providers: [ProviderState] }).providers;
    const missing = missingLibrary(stderr);
    return state.works || missing === undefined
      ? state
      : { ...state, reason: `${missing} (docs/how-to/run-on-a-gpu.md)` };
  } catch (error) {
    const { signal } = error as { signal?: string };
    const reason = signal ? `the process that tried it ended with ${signal}` : errorLine(error);
    return { provider, works: false, reason };
  }
}

/** Which library the runtime did not find, from what it prints: the provider's own, or one that it needs. */
function missingLibrary(printed: string): string | undefined {
  const [, library] = /: (lib[^\s/:]+): cannot open shared object file/.exec(printed) ?? [];
  const [, own] = /\/(lib[^\s/:]+): cannot open shared object file/.exec(printed) ?? [];
  const name = library ?? own;
  return name === undefined ? undefined : `the library ${name} is not there`;
}

/** This program's own entry, from source or built. */
function program(): string[] {
  const isSource = import.meta.url.endsWith('.ts');
  const main = fileURLToPath(new URL(`../main.${isSource ? 'ts' : 'js'}`, import.meta.url));
  if (!isSource) return [main];
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href, main];
}

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}
