#!/usr/bin/env bash
# Exactness and speed of a model on a GPU, beside PyTorch on the same card.
#   bench/gpu.sh MODEL [PROVIDER] [FOLDER]      MODEL: bundled name, folder or GGUF; PROVIDER: cuda (default) or webgpu
# PyTorch is measured where python3 has torch, transformers and peft, and MODEL is a folder. Everything is left in FOLDER (gpu-results).
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:?wanted a model}
provider=${2:-cuda}
out=${3:-gpu-results}
mkdir -p "$out"
crosspatch() { node dist/cli/main.js "$@"; }

crosspatch doctor | tee "$out/doctor.txt"
npx tsx bench/gpu-parity.ts "$model" "$provider" | tee "$out/parity.json"
crosspatch bench --model "$model" --only inference,training --provider "$provider" --json > "$out/ours.json"
if [ -d "$model" ] && python3 -c 'import torch, transformers, peft' 2> /dev/null; then
  python3 bench/gpu_torch.py "$model" > "$out/torch.json"
else
  echo 'PyTorch: not measured (it needs torch, transformers and peft, and a model folder)'
fi
node -e '
const read = (name) => { try { return JSON.parse(require("fs").readFileSync(`${process.argv[1]}/${name}`, "utf8")); } catch { return undefined; } };
console.log(JSON.stringify({ parity: read("parity.json"), ours: read("ours.json"), torch: read("torch.json") }, null, 2));
' "$out" | tee "$out/all.json"
