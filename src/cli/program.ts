/** @file The command line as a function: arguments in, exit code out (0 done, 1 failed, 2 bad usage or input, 100 below a threshold). */
import { Command, CommanderError } from 'commander';
import { CrosspatchError, type ErrorId, errorId, errorLine, unwritable } from '../base/index.ts';
import { type Cli, type RunCli, safeCli } from './cli.ts';
import { addBake } from './commands/bake.ts';
import { addBench } from './commands/bench.ts';
import { addCache } from './commands/cache.ts';
import { addCalibrate } from './commands/calibrate.ts';
import { addCapabilities } from './commands/capabilities.ts';
import { addCapture } from './commands/capture.ts';
import { addCompare } from './commands/compare.ts';
import { addData } from './commands/data.ts';
import { addDemo } from './commands/demo.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEvaluate } from './commands/evaluate.ts';
import { addExport } from './commands/export.ts';
import { addFidelity } from './commands/fidelity.ts';
import { addFinetune } from './commands/finetune.ts';
import { addFleet } from './commands/fleet.ts';
import { addGenerate } from './commands/generate.ts';
import { addImport } from './commands/import.ts';
import { addInit } from './commands/init.ts';
import { addInvert } from './commands/invert.ts';
import { addList } from './commands/list.ts';
import { addLogits } from './commands/logits.ts';
import { addMap } from './commands/map.ts';
import { addModels } from './commands/models.ts';
import { addProbe } from './commands/probe.ts';
import { addReport } from './commands/report.ts';
import { addRun } from './commands/run.ts';
import { addScan } from './commands/scan.ts';
import { addServe } from './commands/serve.ts';
import { addShow } from './commands/show.ts';
import { addStatus } from './commands/status.ts';
import { addSweep } from './commands/sweep.ts';
import { addTransfer } from './commands/transfer.ts';
import { addValidate } from './commands/validate.ts';
import { addVector } from './commands/vector.ts';
import { addView } from './commands/view.ts';
import { addWhen } from './commands/when.ts';
import { addWorker } from './commands/worker.ts';
import { chooseProvider, keepingProvider } from './provider.ts';
import { addCompletion, addHelp, complaint, refuseUnknown, unknownCommand } from './usage.ts';

const COMMANDS = [
  addInit,
  addValidate,
  addStatus,
  addList,
  addShow,
  addCompare,
  addReport,
  addExport,
  addImport,
  addServe,
  addView,
  addModels,
  addCache,
  addGenerate,
  addLogits,
  addCapture,
  addVector,
  addWhen,
  addData,
  addFinetune,
  addBake,
  addProbe,
  addScan,
  addEvaluate,
  addCapabilities,
  addSweep,
  addMap,
  addFidelity,
  addCalibrate,
  addTransfer,
  addInvert,
  addWorker,
  addBench,
  addDoctor,
] satisfies ((program: Command, cli: Cli) => void)[];
const RUN_COMMANDS = [addDemo, addRun, addFleet] satisfies ((program: Command, cli: RunCli) => void)[];

/** Run `argv` (without node and script). Errors become one line on standard error; nothing is thrown. */
export async function runCli(argv: readonly string[], streams: Cli, version: string): Promise<number> {
  const cli = safeCli(streams);
  const program = createProgram(cli, version);
  try {
    refuseUnknown(program, argv);
    await keepingProvider(() => program.parseAsync([...argv], { from: 'user' }));
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    cli.err(`error: ${errorLine(error)} [${idOf(error)}]\n`);
    if (process.env.CROSSPATCH_DEBUG && error instanceof Error) cli.err(`${error.stack}\n`);
    if (error instanceof CrosspatchError) return error.exitCode;
    return unwritable(error) === undefined ? 1 : 2;
  }
}

/** All commands, wired to `cli`. */
export function createProgram(cli: Cli, version: string): Command {
  const program = new Command('crosspatch')
    .description('Find a hidden behaviour in one model, carry the fix to another, and prove that it worked.')
    .version(version)
    .showSuggestionAfterError()
    .configureHelp({ sortSubcommands: false });
  if (canRun(cli)) for (const add of RUN_COMMANDS) add(program, cli);
  for (const add of COMMANDS) add(program, cli);
  addCompletion(program, cli);
  addHelp(program);
  chooseProvider(program);
  for (const command of withSubcommands(program)) {
    command.exitOverride();
    command.configureOutput({
      writeOut: cli.out,
      writeErr: cli.err,
      outputError: (text, write) => write(complaint(text, command)),
    });
  }
  program.allowExcessArguments().action((_options, command: Command) => {
    const [word] = command.args;
    if (word !== undefined) throw unknownCommand(program, word);
    command.outputHelp();
  });
  return program;
}

/** A file the system refuses to write is the user's to mend, wherever it happened. */
function idOf(error: unknown): ErrorId {
  return !(error instanceof CrosspatchError) && unwritable(error) !== undefined
    ? 'out-unwritable'
    : errorId(error);
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

function canRun(cli: Cli): cli is RunCli {
  return cli.expand !== undefined;
}
