/** @file lm-evaluation-harness's tasks: rows, prompts, shots, answers. */
export { GSM8K_STOPS, gsm8kScores } from './answers.ts';
export { type TaskFiles, taskFiles } from './files.ts';
export { type AskedItem, contextOf, type TaskItem } from './item.ts';
export { rstrip } from './python-text.ts';
export { readTaskItems } from './rows.ts';
export { type AskedTask, askTask, readTask, shotsNote } from './shots.ts';
