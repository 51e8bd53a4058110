"""The golden tiny-llama.gguf in three parts, written by gguf-py: python make_gguf_split.py."""

from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter

here = Path(__file__).resolve().parent / "gguf"
reader = GGUFReader(here / "tiny-llama.gguf")
count = len(reader.tensors)
writer = GGUFWriter(here / "split/tiny-llama.gguf", "llama", split_max_tensors=-(-count // 3))
for name, field in reader.fields.items():
    if name.startswith("GGUF.") or name == "general.architecture":
        continue
    kind = field.types[0]
    if kind == GGUFValueType.ARRAY:
        writer.add_array(name, field.contents())
    else:
        writer.add_key_value(name, field.contents(), kind)
for tensor in reader.tensors:
    writer.add_tensor(tensor.name, tensor.data, raw_shape=tensor.data.shape, raw_dtype=tensor.tensor_type)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
