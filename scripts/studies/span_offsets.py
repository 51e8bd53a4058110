"""Ids and character ranges by Hugging Face's tokenizers: python span_offsets.py FOLDER (as `spans.ts write` left it)."""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer

folder = Path(sys.argv[1])
for file in sorted(folder.glob("*.texts.json")):
    name = file.name.removesuffix(".texts.json")
    tokenizer = Tokenizer.from_file(str(folder / f"{name}.tokenizer.json"))
    encodings = [tokenizer.encode(text, add_special_tokens=False) for text in json.loads(file.read_text())]
    answers = [{"ids": e.ids, "offsets": e.offsets} for e in encodings]
    (folder / f"{name}.offsets.json").write_text(json.dumps(answers))
    print(name, len(answers))
