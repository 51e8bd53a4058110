/** @file Records → one self-contained HTML file, the verdict in words, the figures as files, and the files of other tools. */

export { figureFiles } from './files.ts';
export { fleetBehaviours } from './fleet/describe.ts';
export { type FleetCell, type FleetMatrix, type FleetRow, fleetMatrices } from './fleet/matrix.ts';
export { renderFleet } from './fleet/page.ts';
export { fleetFailures, fleetSentences } from './fleet/words.ts';
export { inspectLogs } from './records/inspect.ts';
export { lmEvalFiles } from './records/lm-eval.ts';
export { type EvalRecord, itemRecords, type RecordSource, runRecords, runSource } from './records/record.ts';
export { renderReport } from './report.ts';
export { type ArmRow, armRows } from './verdict/arms.ts';
export { claim, type Verdict, verdictOf, verdicts, verdictText } from './verdict/verdict.ts';
export { interval, pointsWithInterval } from './verdict/words.ts';
