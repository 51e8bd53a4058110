/** @file Tokenizers of Hugging Face folders and GGUF files, chat templates, character offsets, spans and alignment of token sequences. */
export type { AddedToken } from './added-tokens.ts';
export { type AlignmentFlag, alignTokens, type TokenAlignment } from './align.ts';
export { alignTurns, type SharedText } from './align-turns.ts';
export type { ChatMessage, ChatOptions } from './chat.ts';
export { type ChatTurn, chatTurn, type TurnSettings, turnEnd, unreadEnd, userTurn } from './chat-turn.ts';
export { DecodeStream } from './decode-stream.ts';
export type { TokenizerFiles } from './files.ts';
export {
  tokenizerFilesFromGguf,
  tokenizerJsonFromGguf,
  tokenizerTextsFromGguf,
} from './gguf.ts';
export type { GgufMetadata } from './gguf-vocabulary.ts';
export {
  loadTokenizer,
  readTokenizerFolder,
  type TokenizerSource,
  tokenizerFromFiles,
} from './load.ts';
export {
  type DifferingSpan,
  differingSpan,
  pairSpans,
  type Span,
  type SpanOfTextOptions,
  type SpanPairs,
  spanOfChars,
  spanOfText,
} from './span.ts';
export {
  type DetokenizeOptions,
  type EncodeOptions,
  type Encoding,
  Tokenizer,
  type TokenizerSettings,
} from './tokenizer.ts';
export { type ByteBpeOptions, trainByteBpe } from './train-byte-bpe.ts';
export { type TrainedTokenizer, trainWordLevel, type WordLevelOptions } from './train-word-level.ts';
export { unknownWords } from './unknown-words.ts';
