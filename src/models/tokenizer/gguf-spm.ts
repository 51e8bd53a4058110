/**
 * @file Merge rules of a SentencePiece BPE. GGUF stores scores, not merges: SentencePiece joins the neighbours whose join has the
 * best score. The same result by ranked merges: every way to cut a token into two tokens is a rule, ranked by the token's score
 * (this is how Hugging Face's converter makes the tokenizer.json of Llama 2 and Gemma).
 */
import { type MergeRules, PairTable } from './pair-table.ts';

/** Pairs kept ready; more are worked out again. */
const KEPT_PAIRS = 1 << 20;

interface Rule {
  readonly left: string;
  readonly right: string;
  /** Code points of the parts. */
  readonly leftLength: number;
  readonly rightLength: number;
}

/**
 * The rules of a vocabulary, in order of rank: score of the joined token descending, then the longer left part, then the longer right
 * part, then the token that comes first. Gemma's half a million are worked out pair by pair as text asks for them; all are listed where
 * a tokenizer.json is written.
 */
export class CutMerges {
  readonly #tokens: readonly string[];
  readonly #vocab: ReadonlyMap<string, number>;
  /** Per id, undefined for tokens that take no part (control, byte, unknown, unused). */
  readonly #scores: readonly (number | undefined)[];

  /** `tokens[id]`, and the same by name. */
  constructor(
    tokens: readonly string[],
    vocab: ReadonlyMap<string, number>,
    scoreOf: (id: number) => number | undefined,
  ) {
    this.#tokens = tokens;
    this.#vocab = vocab;
    this.#scores = tokens.map((_, id) => scoreOf(id));
  }

  /** All rules, the lowest rank first. */
  toJSON(): [left: string, right: string][] {
    const all: [string, string][] = [];
    this.#eachGroup((ids) => {
      const rules = [...ids].flatMap((id) => this.#cuts(this.#tokens[id] as string));
      if (ids.length > 1) rules.sort((a, b) => b.leftLength - a.leftLength || b.rightLength - a.rightLength);
      for (const { left, right } of rules) all.push([left, right]);
    });
    return all;
  }

  /** The same rules, each found when it is first asked for. Ranks have gaps. */
  rules(): MergeRules {
    const tokens = this.#tokens;
    const first = new Float64Array(tokens.length); // rank of the first rule that its group could have
    const place = new Int32Array(tokens.length); // among the ids of its group
    const ties = new Int32Array(tokens.length); // ids of its group
    const longest = new Int32Array(tokens.length); // code units of the longest token of its group
    let rank = 0;
    this.#eachGroup((ids) => {
      let units = 0;
      for (const id of ids) units = Math.max(units, (tokens[id] as string).length);
      for (let i = 0; i < ids.length; i++) {
        const id = ids[i] as number;
        first[id] = rank;
        place[id] = i;
        ties[id] = ids.length;
        longest[id] = units;
      }
      rank += units * units * ids.length;
    });
    const rankOf = (merged: number, left: string, right: string): number => {
      const most = longest[merged] as number;
      const cut = (most - codePoints(left)) * most + most - codePoints(right);
      return (first[merged] as number) + cut * (ties[merged] as number) + (place[merged] as number);
    };
    const takesPart = (id: number | undefined): boolean => id !== undefined && this.#scores[id] !== undefined;
    return new FoundRules((left, right) => {
      if (!takesPart(left) || !takesPart(right)) return undefined;
      const [l, r] = [tokens[left] as string, tokens[right] as string];
      const merged = this.#vocab.get(l + r);
      return takesPart(merged)
        ? { merged: merged as number, rank: rankOf(merged as number, l, r) }
        : undefined;
    });
  }

  /** Ids of equal score, in their order, the best score first. */
  #eachGroup(visit: (ids: Int32Array) => void): void {
    const scores = this.#scores;
    const ids = Int32Array.from([...scores.keys()].filter((id) => scores[id] !== undefined));
    // Vocabularies are nearly in this order already, which the sort exploits.
    ids.sort((a, b) => (scores[b] as number) - (scores[a] as number));
    for (let i = 0, end = 0; i < ids.length; i = end) {
      end = i + 1;
      while (end < ids.length && scores[ids[end] as number] === scores[ids[i] as number]) end++;
      visit(ids.subarray(i, end));
    }
  }

  /** Every cut of the token into two tokens that take part, the longest left part first. */
  #cuts(token: string): Rule[] {
    const known = (part: string): boolean => {
      const id = this.#vocab.get(part);
      return id !== undefined && this.#scores[id] !== undefined;
    };
    const out: Rule[] = [];
    let rightLength = 0;
    const total = codePoints(token);
    for (let at = token.length - 1; at > 0; at--) {
      if ((token.charCodeAt(at) & 0xfc00) === 0xdc00) continue;
      rightLength++;
      const right = token.slice(at);
      if (!known(right)) continue;
      const left = token.slice(0, at);
      if (known(left)) out.push({ left, right, leftLength: total - rightLength, rightLength });
    }
    return out;
  }
}

/** Rules by a function, kept once found; a pair without a rule is kept as well. */
class FoundRules implements MergeRules {
  readonly #ruleOf: (left: number, right: number) => { merged: number; rank: number } | undefined;
  #kept = new PairTable(1024);

  constructor(ruleOf: (left: number, right: number) => { merged: number; rank: number } | undefined) {
    this.#ruleOf = ruleOf;
  }

  find(left: number, right: number): number {
    let slot = this.#kept.find(left, right);
    if (slot < 0) {
      const { rank, merged } = this.#ruleOf(left, right) ?? { rank: 0, merged: -1 };
      if (this.#kept.size >= KEPT_PAIRS) this.#kept = new PairTable(1024);
      slot = this.#kept.set(left, right, rank, merged);
    }
    return this.#kept.merged(slot) < 0 ? -1 : slot;
  }

  rank(slot: number): number {
    return this.#kept.rank(slot);
  }

  merged(slot: number): number {
    return this.#kept.merged(slot);
  }
}

function codePoints(text: string): number {
  let n = 0;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) n++;
  return n;
}
