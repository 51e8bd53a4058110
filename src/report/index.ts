/** @file Records → one self-contained HTML file, the verdict in words, and the figures as files. */
export { nodeDocument } from './document.ts';
export { figureFiles } from './files.ts';
export { type ReportInput, renderReport } from './report.ts';
export { claim, type Verdict, verdictSentences, verdicts, verdictText } from './verdict/verdict.ts';
