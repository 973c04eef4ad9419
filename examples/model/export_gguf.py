# SPDX-License-Identifier: MIT
"""Write the trained model as a GGUF file, with the names and keys that llama.cpp reads.

GGUF v3, little endian:

    "GGUF" u32 version, u64 tensors, u64 keys
    per key:    string name, u32 type, value     (string: u64 length, bytes)
    per tensor: string name, u32 dims, u64 dim[dims] (fastest first), u32 type, u64 offset
    tensor data, each aligned to 32 bytes; offsets count from the aligned start of the data
"""

import struct

import numpy as np

ALIGNMENT = 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # types of values
TENSOR_TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1}
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # types of tokens
PACK = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}


def pack_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    return pack_string(value) if kind == STRING else struct.pack(PACK[kind], value)


def pack_key(name, kind, value):
    """One key; a list as value becomes an array whose items have the type `kind`."""
    if not isinstance(value, list):
        return pack_string(name) + struct.pack("<I", kind) + pack_value(kind, value)
    items = b"".join(pack_value(kind, item) for item in value)
    return pack_string(name) + struct.pack("<IIQ", ARRAY, kind, len(value)) + items


def padding(size):
    return bytes(-size % ALIGNMENT)


def write_gguf(path, keys, tensors):
    """`keys`: list of (name, type, value); `tensors`: list of (name, array [out, in] or [n])."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    head += b"".join(pack_key(*key) for key in keys)
    offset = 0
    for name, array in tensors:
        dims = array.shape[::-1]
        head += pack_string(name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        head += struct.pack("<IQ", TENSOR_TYPES[array.dtype], offset)
        offset += array.nbytes + len(padding(array.nbytes))
    with open(path, "wb") as file:
        file.write(head + padding(len(head)))
        for _, array in tensors:
            file.write(array.tobytes() + padding(array.nbytes))


def token_type(tokenizer, token):
    if tokenizer.is_unknown(token):
        return UNKNOWN
    if tokenizer.is_control(token):
        return CONTROL
    return BYTE if tokenizer.is_byte(token) else NORMAL


def tokenizer_keys(tokenizer):
    ids = range(tokenizer.vocab_size())
    return [
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.pre", STRING, "default"),
        ("tokenizer.ggml.tokens", STRING, [tokenizer.id_to_piece(i) for i in ids]),
        ("tokenizer.ggml.scores", F32, [tokenizer.get_score(i) for i in ids]),
        ("tokenizer.ggml.token_type", I32, [token_type(tokenizer, i) for i in ids]),
        ("tokenizer.ggml.bos_token_id", U32, tokenizer.bos_id()),
        ("tokenizer.ggml.eos_token_id", U32, tokenizer.eos_id()),
        ("tokenizer.ggml.unknown_token_id", U32, tokenizer.unk_id()),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]


def model_keys(shape):
    return [
        ("general.architecture", STRING, "llama"),
        ("general.type", STRING, "model"),
        ("general.name", STRING, "manuals-5M"),
        ("general.description", STRING, "A small Llama model trained on technical manuals"),
        ("general.license", STRING, "mit"),
        ("general.size_label", STRING, "5M"),
        ("general.languages", STRING, ["en"]),
        ("llama.block_count", U32, shape["layers"]),
        ("llama.context_length", U32, shape["context"]),
        ("llama.embedding_length", U32, shape["width"]),
        ("llama.feed_forward_length", U32, shape["ffn"]),
        ("llama.attention.head_count", U32, shape["heads"]),
        ("llama.attention.head_count_kv", U32, shape["kv_heads"]),
        ("llama.attention.layer_norm_rms_epsilon", F32, shape["norm_eps"]),
        ("llama.rope.freq_base", F32, shape["rope_base"]),
        ("llama.rope.dimension_count", U32, shape["head_dim"]),
        ("llama.vocab_size", U32, shape["vocab"]),
        ("general.file_type", U32, 1),
        ("general.quantization_version", U32, 2),
    ]


def to_array(parameter):
    """Matrices as F16, norms as F32."""
    array = parameter.detach().numpy()
    return np.ascontiguousarray(array, dtype=np.float16 if array.ndim == 2 else np.float32)


def layer_tensors(index, layer, shape):
    """The tensors of one block; the fused products are taken apart by rows."""
    kv_rows = shape["kv_heads"] * shape["head_dim"]
    q, k, v = layer.qkv.weight.split([shape["heads"] * shape["head_dim"], kv_rows, kv_rows])
    gate, up = layer.gate_up.weight.chunk(2)
    parts = [
        ("attn_norm", layer.attn_norm.weight),
        ("attn_q", q), ("attn_k", k), ("attn_v", v),
        ("attn_output", layer.attn_output.weight),
        ("ffn_norm", layer.ffn_norm.weight),
        ("ffn_gate", gate), ("ffn_up", up),
        ("ffn_down", layer.ffn_down.weight),
    ]
    return [(f"blk.{index}.{name}.weight", to_array(weight)) for name, weight in parts]


def export(model, tokenizer, shape, path):
    """Write `model` (train.Llama) and its tokenizer; the head is tied, so it has no tensor."""
    tensors = [("token_embd.weight", to_array(model.token_embd.weight))]
    for index, layer in enumerate(model.blk):
        tensors += layer_tensors(index, layer, shape)
    tensors.append(("output_norm.weight", to_array(model.output_norm.weight)))
    write_gguf(path, model_keys(shape) + tokenizer_keys(tokenizer), tensors)
