"""Maps of `crosspatch export map` in their readers: onnxruntime, onnx's checker, SAELens, and docs/how-to/crosspatch_hooks.py.

    python peer_maps.py MAP_FOLDER MAP.onnx SAELENS_FOLDER ROWS.safetensors

ROWS.safetensors: test/interop/mapped-rows.ts on the map. Needs numpy, safetensors, torch, onnx, onnxruntime, sae-lens; crosspatch itself needs no Python.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from sae_lens import SAE
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parents[2] / "docs/how-to"))
import crosspatch_hooks  # noqa: E402


def compare(name, theirs, ours):
    theirs, ours = np.asarray(theirs, dtype=np.float64), np.asarray(ours, dtype=np.float64)
    assert theirs.shape == ours.shape, (name, theirs.shape, ours.shape)
    print(f"{name}: {ours.shape}, largest difference {np.abs(theirs - ours).max():.2e} of {np.abs(ours).max():.2f}")


def main(folder, onnx_file, saelens, rows):
    data = load_file(rows)
    x, y = data["x"], data["y"]
    onnx.checker.check_model(onnx_file, full_check=True)
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    print(f"onnxruntime {onnxruntime.__version__}: {session.get_inputs()[0].name} {session.get_inputs()[0].shape} ->"
          f" {session.get_outputs()[0].name}; {facts['crosspatch.kind']}, {facts['crosspatch.source.model']}"
          f" {facts['crosspatch.source.hook']} -> {facts['crosspatch.target.model']} {facts['crosspatch.target.hook']}")
    compare("onnxruntime", session.run(["mapped"], {"activations": x})[0], y)
    sae = SAE.load_from_disk(saelens, device="cpu")
    with torch.no_grad():
        theirs = sae(torch.tensor(x))
        print(f"SAELens: {type(sae).__name__}, d_in {sae.cfg.d_in}, d_out {getattr(sae.cfg, 'd_out', None)}, d_sae {sae.cfg.d_sae}")
        compare("SAELens", theirs.numpy(), y)
        compare("crosspatch_hooks", crosspatch_hooks.Map(folder)(torch.tensor(x)).numpy(), y)


main(*sys.argv[1:])
