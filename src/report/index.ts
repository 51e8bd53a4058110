/** @file Records → one self-contained HTML file, the verdict in words, and the figures as files. */

export { figureFiles } from './files.ts';
export { renderReport } from './report.ts';
export { type ArmRow, armRows } from './verdict/arms.ts';
export { claim, type Verdict, verdictOf, verdicts, verdictText } from './verdict/verdict.ts';
export { interval, pointsWithInterval } from './verdict/words.ts';
