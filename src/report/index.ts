/** @file Records → one self-contained HTML file, the verdict in words, and the figures as files. */
export { nodeDocument } from './document.ts';
export { figureFiles } from './files.ts';
export { type ReportInput, renderReport } from './report.ts';
export { type ArmRow, armRows } from './verdict/arms.ts';
export {
  claim,
  type Point,
  type Verdict,
  verdictOf,
  verdictSentences,
  verdicts,
  verdictText,
} from './verdict/verdict.ts';
export { interval, points, pointsInterval, pointsWithInterval } from './verdict/words.ts';
