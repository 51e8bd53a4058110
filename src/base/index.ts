/** @file Leaf layer: errors, progress, seeded randomness, content hashes, atomic files, ownership. */
export { defined } from './defined.ts';
export { disposeAll, type Owned } from './dispose.ts';
export {
  AbortedError,
  CrosspatchError,
  type ExitCode,
  errorLine,
  InputError,
  throwIfAborted,
} from './errors.ts';
export {
  makeFolder,
  unwritable,
  withAtomicFolder,
  writeError,
  writeFileAtomic,
  writeJsonAtomic,
} from './files.ts';
export { canonicalJson, hashBytes, hashFile, hashJson } from './hash.ts';
export { type ProgressEvent, type ProgressSink, silent } from './progress.ts';
export { Rng } from './rng.ts';
