/** @file Records → one self-contained HTML file, the verdict in words, and the figures as files. */
export { nodeDocument } from './document.ts';
export { figureFiles } from './files.ts';
export { type ReportInput, renderReport } from './report.ts';
export { verdict, verdictSentences } from './verdict.ts';
