/**
 * @file Merge rules of a SentencePiece BPE. GGUF stores scores, not merges: SentencePiece joins the neighbours whose join has the
 * best score. The same result by ranked merges: every way to cut a token into two tokens is a rule, ranked by the token's score
 * (this is how Hugging Face's converter makes the tokenizer.json of Llama 2 and Gemma).
 */

interface Rule {
  readonly left: string;
  readonly right: string;
  /** Code points of the parts. */
  readonly leftLength: number;
  readonly rightLength: number;
}

/**
 * Merges in order of rank: score of the joined token descending, then the longer left part, then the longer right part.
 * `scoreOf(id)` is undefined for tokens that take no part (control, byte, unknown, unused).
 */
export function spmMerges(
  tokens: readonly string[],
  scoreOf: (id: number) => number | undefined,
): [left: string, right: string][] {
  const scores = tokens.map((_, id) => scoreOf(id));
  const ids = [...tokens.keys()].filter((id) => scores[id] !== undefined);
  const known = new Set(ids.map((id) => tokens[id] as string));
  // Vocabularies are nearly in this order already, which the sort exploits.
  ids.sort((a, b) => (scores[b] as number) - (scores[a] as number));
  const merges: [string, string][] = [];
  for (let i = 0; i < ids.length; ) {
    const tied: Rule[] = [];
    const score = scores[ids[i] as number];
    let ties = 0;
    for (; i < ids.length && scores[ids[i] as number] === score; i++, ties++)
      addCuts(tokens[ids[i] as number] as string, known, tied);
    if (ties > 1) tied.sort((a, b) => b.leftLength - a.leftLength || b.rightLength - a.rightLength);
    for (const { left, right } of tied) merges.push([left, right]);
  }
  return merges;
}

/** Every cut of the token into two known tokens, the longest left part first. */
function addCuts(token: string, known: ReadonlySet<string>, out: Rule[]): void {
  let rightLength = 0;
  const total = codePoints(token);
  for (let at = token.length - 1; at > 0; at--) {
    if ((token.charCodeAt(at) & 0xfc00) === 0xdc00) continue;
    rightLength++;
    const right = token.slice(at);
    if (!known.has(right)) continue;
    const left = token.slice(0, at);
    if (known.has(left)) out.push({ left, right, leftLength: total - rightLength, rightLength });
  }
}

function codePoints(text: string): number {
  let n = 0;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) n++;
  return n;
}
