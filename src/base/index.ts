/** @file Leaf layer: errors, progress, seeded randomness, content hashes, atomic and sealed files, locks, ownership. */
export { type ClaimOptions, claimFolder, refuseForeign, refuseForeignFile } from './claim.ts';
export { defined } from './defined.ts';
export { disposeAll, type Owned } from './dispose.ts';
export { ERRORS, type ErrorId, type ErrorKind } from './error-ids.ts';
export {
  AbortedError,
  CrosspatchError,
  type ExitCode,
  errorId,
  errorLine,
  InputError,
  throwIfAborted,
} from './errors.ts';
export { type AtomicFolderOptions, withAtomicFolder, writeFileAtomic, writeJsonAtomic } from './files.ts';
export { canonicalJson, hashBytes, hashFile, hashJson } from './hash.ts';
export { isPlainObject, type JsonOptions, parseJson } from './json.ts';
export { isLfsPointer, LFS_NEXT } from './lfs.ts';
export { acquireLock, isLocked, type LockOptions, processExists } from './lock.ts';
export { patternRisk, type RiskLimits } from './pattern-risk.ts';
export { type ProgressEvent, type ProgressSink, silent } from './progress.ts';
export { readTextLimited } from './read-limited.ts';
export { Rng } from './rng.ts';
export { brokenSeal, listFiles, readSeal, SEAL, sealText } from './seal.ts';
export { showText, showValue, visible } from './show.ts';
export { steadyProgress } from './steady-progress.ts';
export {
  decodeText,
  readTextFile,
  readTextIfThere,
  type TextLimits,
  type TextLine,
  textLines,
} from './text.ts';
export { makeFolder, unwritable, writeError } from './writable.ts';
