#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the corpora of the fuzz targets: make_corpus.py [DIRECTORY], corpus/ by default.

The same bytes every time: all files are packed here by hand, also the zstd frames (RFC 8878), so
that they depend on no library and on none of the code under test. Only the damages to models count
on the order of two tables, which are read for it.
"""

import json
import re
import struct
import sys
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
SCALARS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?",
           U64: "Q", I64: "q", F64: "d"}
TYPE_F32, TYPE_F16, TYPE_Q8_0, TYPE_I8 = 0, 1, 8, 24


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def value(kind, v):
    return text(v) if kind == STRING else struct.pack("<" + SCALARS[kind], v)


def kv(key, kind, v):
    return text(key) + struct.pack("<I", kind) + value(kind, v)


def array(key, kind, values):
    head = text(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
    return head + b"".join(value(kind, v) for v in values)


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def gguf(kvs, tensors, version=3, alignment=32):
    """tensors: (name, dims, type, data)."""
    records, data = b"", b""
    for name, dims, kind, content in tensors:
        records += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
        data += content + bytes(-len(content) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(kvs)) + b"".join(kvs) + records
    return head + bytes(-len(head) % alignment) + data


def gguf_corpus():
    all_keys = [kv(f"key.{kind}", kind, 1) for kind in SCALARS] + [
        kv("text", STRING, "value"), array("words", STRING, ["one", "", "three"]),
        array("numbers", I16, [-1, 2, 300]), array("none", F32, [])]
    tensors = [("b", [5], TYPE_F32, floats(1, 2, 3, 4, 5)), ("a", [32, 2], TYPE_Q8_0, bytes(68)),
               ("c", [1, 2, 3, 1], TYPE_F16, bytes(12))]
    whole = gguf(all_keys, tensors)
    yield "empty", b""
    yield "bare", gguf([], [])
    yield "keys", gguf(all_keys, [])
    yield "whole", whole
    yield "version_2", gguf(all_keys, tensors, version=2)
    yield "version_1", gguf([], [], version=1)
    yield "big_endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "cut_in_keys", whole[:150]
    yield "cut_in_data", whole[:-90]
    yield "huge_counts", b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**61) + bytes(64)
    yield "huge_string", b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**64 - 1) + bytes(32)
    yield "huge_array", gguf([text("k") + struct.pack("<IIQ", ARRAY, U64, 2**61) + bytes(8)], [])
    yield "huge_float", gguf([kv("k", F64, 1e300)], [])
    yield "nested_array", gguf([text("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1)], [])
    yield "same_key", gguf([kv("k", U8, 1), kv("k", U8, 2)], [])
    yield "same_tensor", gguf([], [tensors[0], tensors[0]])
    yield "overlap", gguf([], [("x", [16], TYPE_F32, bytes(32)), ("y", [8], TYPE_F32, bytes(64))])
    yield "alignment_64", gguf([kv("general.alignment", U32, 64)], tensors, alignment=64)
    yield "alignment_3", gguf([kv("general.alignment", U32, 3)], [])


KEYS = [kv("general.type", STRING, "imatrix"), array("imatrix.datasets", STRING, ["text"]),
        kv("imatrix.chunk_count", U32, 3), kv("imatrix.chunk_size", U32, 512)]
ORIGIN = [kv("imatrix.calibration.program", STRING, "p"),
          kv("imatrix.calibration.model_name", STRING, "m"),
          kv("imatrix.calibration.n_tokens", U64, 1536),
          kv("imatrix.calibration.parse_special", BOOL, True),
          kv("imatrix.calibration.process_output", BOOL, False)]
DENSE = [("q.in_sum2", [3], TYPE_F32, floats(1, 0.5, 2)), ("q.counts", [1], TYPE_F32, floats(1536))]
SUMS = [("q.in_sum", [3], TYPE_F32, floats(-1, 0.25, 0))]
EXPERTS = [("x.in_sum2", [2, 3], TYPE_F32, floats(1, 2, 0, 0, 5, 6)),
           ("x.counts", [1, 3], TYPE_F32, floats(7, 0, 9))]


SOURCES = [array("imatrix.calibration.source_hashes", STRING, ["0123456789abcdef" * 2]),
           array("imatrix.calibration.source_weights", F64, [0.5]),
           array("imatrix.calibration.source_tokens", U64, [7]),
           array("imatrix.calibration.source_chunks", U64, [2])]


RUN = 256
WIDE = [(f"{w}.{part}", [n], TYPE_F32, floats(*[1.5] * n)) for w in "kq" for part, n in (("in_sum2", RUN), ("counts", 1))]
PRODUCTS = [("k.in_cov", [RUN * (RUN + 1) // 2], TYPE_I8, bytes(i * i % 251 for i in range(RUN * (RUN + 1) // 2)))]


def shared_products(sharer, owner):
    return [array("imatrix.calibration.covariance_sharers", STRING, [sharer]),
            array("imatrix.calibration.covariance_owners", STRING, [owner])]


def imatrix_gguf_corpus():
    whole = gguf(KEYS + ORIGIN, DENSE + SUMS + EXPERTS)
    yield "dense", gguf(KEYS, DENSE)
    yield "experts", gguf(KEYS, EXPERTS)
    yield "whole", whole
    yield "no_keys", gguf([], DENSE)
    yield "cut", whole[:-100]
    yield "counts_missing", gguf(KEYS, DENSE[:1])
    yield "sums_missing", gguf(KEYS, DENSE[1:])
    yield "no_entry", gguf(KEYS, [("other", [1], TYPE_F32, floats(1))])
    yield "half", gguf(KEYS, [("q.in_sum2", [3], TYPE_F16, bytes(6)), DENSE[1]])
    yield "odd_sizes", gguf(KEYS, [DENSE[0], ("q.counts", [2], TYPE_F32, floats(1, 2))])
    yield "negative", gguf(KEYS, [("q.in_sum2", [1], TYPE_F32, floats(-1)), DENSE[1]])
    yield "nan", gguf(KEYS, [DENSE[0], ("q.counts", [1], TYPE_F32, floats(float("nan")))])
    yield "sources", gguf(KEYS + SOURCES, DENSE)
    yield "sources_too_few", gguf([KEYS[0], array("imatrix.datasets", STRING, [])] + SOURCES, DENSE)
    yield "products", gguf(KEYS + shared_products("q", "k"), WIDE + PRODUCTS)
    yield "products_short", gguf(KEYS, WIDE + [("k.in_cov", [RUN], TYPE_I8, bytes(RUN))])
    yield "products_of_none", gguf(KEYS + shared_products("q", "k"), WIDE)
    yield "dataset_number", gguf([array("imatrix.datasets", U32, [1])] + KEYS[2:], DENSE)


def dat_entry(name, n_calls, values):
    head = struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", n_calls, len(values))
    return head + floats(*values)


def dat(entries, trailer):
    return struct.pack("<i", len(entries)) + b"".join(entries) + trailer


def imatrix_dat_corpus():
    entries = [dat_entry("z", 4, [1, 2, 3]), dat_entry("a.weight", 7, [0.5])]
    trailer = struct.pack("<ii", 7, 4) + b"text"
    whole = dat(entries, trailer)
    yield "whole", whole
    yield "no_trailer", dat(entries, b"")
    yield "no_dataset", dat(entries, struct.pack("<ii", 7, 0))
    yield "zero_calls", dat([dat_entry("a", 0, [1, 2])], trailer)
    yield "negative_calls", dat([dat_entry("a", -1, [1, 2])], trailer)
    yield "no_values", dat([dat_entry("a", 1, [])], trailer)
    yield "huge_values", struct.pack("<ii1sii", 1, 1, b"a", 1, 2**31 - 1) + floats(1)
    yield "huge_name", struct.pack("<ii", 1, 1000) + b"a"
    yield "negative", dat([dat_entry("a", 1, [-1])], trailer)
    yield "infinite", dat([dat_entry("a", 1, [float("inf")])], trailer)
    yield "same_name", dat([entries[0], entries[0]], trailer)
    yield "nul_name", dat([dat_entry("a\0b", 1, [1])], trailer)
    yield "cut_in_entry", whole[:20]
    yield "cut_in_trailer", whole[:-6]
    yield "garbage", whole + b"garbage"
    yield "text", b"any text file"


MAGIC = bytes.fromhex("28b52ffd")
WINDOW_1_MIB = bytes([0x00, 0x50])  # no content size


def sized(n):
    return bytes([0xe0]) + struct.pack("<Q", n)


def raw_block(content, last=True):
    return struct.pack("<I", len(content) << 3 | last)[:3] + content


def repeat_block(byte, n, last=True):
    return struct.pack("<I", n << 3 | 1 << 1 | last)[:3] + bytes([byte])


# gguf(KEYS, DENSE) through `zstd -3 --no-check` 1.5.4: what the fuzzer can start from.
COMPRESSED = bytes.fromhex("""
    28b52ffd6060003d050082861822806b1a03333003d3e42b7e8bb431d671fb23cd8654bdebd3c0a6d42bf480
    87f86da78ccce25760462cc5e984f414720da7dfc94b53c3ba478920897b91e8b055eefa1ddd54b6ec8117aa
    462d93da827f9015cbe28451e91232e1c0cd0f68389e272020e0020a047b1470c0456517bc74b36033315c3e
    bc45422c8480793e165a2d6107c342c192e9004d02c88b604161f9dbae9a24c84b1efb2207c67104a331da10
    ba
""")


def imatrix_zst_corpus():
    whole = gguf(KEYS, DENSE)
    middle = len(whole) // 2
    yield "sized", MAGIC + sized(len(whole)) + raw_block(whole)
    yield "unsized", MAGIC + WINDOW_1_MIB + raw_block(whole)
    yield "two_blocks", (MAGIC + WINDOW_1_MIB + raw_block(whole[:middle], last=False) +
                         raw_block(whole[middle:]))
    yield "padding_repeated", (MAGIC + WINDOW_1_MIB + raw_block(whole, last=False) +
                               repeat_block(0, 96))
    yield "compressed", COMPRESSED
    yield "cut", (MAGIC + sized(len(whole)) + raw_block(whole))[:-30]
    yield "cut_in_header", MAGIC + sized(len(whole))[:4]
    yield "magic_only", MAGIC
    yield "garbage", MAGIC + sized(len(whole)) + raw_block(whole) + b"garbage"
    yield "wrong_size", MAGIC + sized(len(whole) + 1) + raw_block(whole)
    yield "wrong_checksum", (MAGIC + bytes([0xe4]) + sized(len(whole))[1:] + raw_block(whole) +
                             bytes(4))
    yield "claims_a_terabyte", MAGIC + sized(2**40) + raw_block(whole)
    yield "unfolds", MAGIC + WINDOW_1_MIB + b"".join(
        repeat_block(0, 131072, last=i == 7) for i in range(8))
    yield "not_gguf", MAGIC + WINDOW_1_MIB + raw_block(b"text")


SPM_TOKENS = [("<unk>", 2, 0), ("<s>", 3, 0), ("</s>", 3, 0), ("\u2581", 1, -9), ("a", 1, -9),
              ("l", 1, -8), ("ll", 1, -2), ("He", 1, -1), ("H", 1, -3), ("e", 1, -3),
              ("<0x20>", 6, 0), ("<0xE4>", 6, 0), ("<|im_end|>", 4, 0)]
BPE_TOKENS = [("a", 1, 0), ("l", 1, 0), ("ll", 1, 0), ("\u0120", 1, 0), ("H", 1, 0), ("e", 1, 0),
              ("He", 1, 0), ("Hell", 1, 0), ("1", 1, 0), ("\u010a", 1, 0), ("<|im_end|>", 3, 0),
              ("<s>", 4, 0), ("\u00ef", 1, 0), ("\n", 1, 0), ("\u2581", 1, 0), ("<0xFF>", 6, 0)]
MERGES = ["l l", "H e", "He ll", "\u0120 a", "x y"]


def vocabulary(model, tokens, *more):
    texts, types, scores = zip(*tokens)
    key = "tokenizer.ggml."
    return gguf([kv(key + "model", STRING, model), array(key + "tokens", STRING, texts),
                 array(key + "token_type", I32, types), array(key + "scores", F32, scores),
                 kv(key + "bos_token_id", U32, 1), *more], [])


def tokenizer_corpus():
    merges = array("tokenizer.ggml.merges", STRING, MERGES)
    yield "spm", vocabulary("llama", SPM_TOKENS)
    yield "spm_eos", vocabulary("llama", SPM_TOKENS, kv("tokenizer.ggml.add_eos_token", BOOL, 1))
    yield "phi_3", vocabulary("llama", SPM_TOKENS, kv("general.name", STRING, "phi-3"),
                              kv("tokenizer.ggml.add_space_prefix", BOOL, 0))
    yield "gemma4", vocabulary("gemma4", BPE_TOKENS, merges)
    for pre in ("default", "gpt-2", "llama-bpe", "deepseek-v3", "superbpe", "tiny_aya", "jais-2"):
        yield pre, vocabulary("gpt2", BPE_TOKENS, merges, kv("tokenizer.ggml.pre", STRING, pre))
    yield "no_merges", vocabulary("gpt2", BPE_TOKENS)
    yield "bad_merge", vocabulary("gpt2", BPE_TOKENS, array("tokenizer.ggml.merges", STRING, ["x"]))
    yield "same_token", vocabulary("llama", SPM_TOKENS + SPM_TOKENS[:1])
    yield "empty_tokens", vocabulary("llama", [("", 3, 0)] * 3)
    yield "no_tokens", vocabulary("none", SPM_TOKENS)


def chat(*messages):
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in messages]})


def json_document_corpus():
    whole = chat(("system", "Be brief."), ("user", "Hi <|im_end|>"), ("assistant", " Yes? "))
    parts = chat(("user", [{"type": "text", "text": "a"}, {"text": "b\0c"}]), ("assistant", ""))
    lines = "\n".join([whole, parts, json.dumps({"text": "one\ntwo"}), "", whole])
    yield "chatml", lines.encode()
    for name, template in (("gemma", "<start_of_turn>"), ("llama_2", "[INST]<<SYS>>"),
                           ("mistral_v7", "[SYSTEM_PROMPT][INST]"), ("phi_3", "<|assistant|><|end|>")):
        yield name, f"{template}\n{lines}".encode()
    yield "cut", lines.encode()[:100]
    yield "lost_system", ("[INST]\n" + chat(("system", "a"), ("assistant", "b"))).encode()
    yield "unknown_role", ("\n" + chat(("tool", "a"))).encode()
    yield "odd_types", b'\n{"text": 1}\n{"messages": {}}\n{"messages": [1, {"role": 1}]}\n[]\n""\n'
    yield "odd_parts", ("\n" + chat(("user", [{"image": 1}]), ("user", []))).encode()
    yield "bad_utf8", b'\n{"text": "\xff\xfe"}\n{"text": "\\ud800"}\n{"text": "\\u0000"}'
    yield "deep", b"\n" + b"[" * 3000


ROOT = Path(__file__).parent.parent.parent
SIZES = "EVPHGDRFXUWSACNOZL"
SIZE, KEY, SHAPE, CONTENTS, ABSENCE = range(5)
AS_U32, AS_I32, AS_U64, AS_F32, AS_BOOL, AS_WORD, AS_F64, AS_LIST, AS_NONE = range(9)


def names_in(path, pattern):
    return re.findall(pattern, (ROOT / path).read_text(), re.MULTILINE)


def damage(kind, how, which, content):
    """The twelve bytes of fuzz_model.c."""
    return struct.pack("<BBH", kind, how, which) + content.ljust(8, b"\0")


def model_corpus():
    models = names_in("tests/unit/calib/golden_models.h", r'^    \{"([^"]+)", "')
    keys = names_in("calib/model/hparam_table.c", r'^    \{"([^"]+)", +IMX_KEYS') + [
        "rope.scaling.type", "rope.dimension_sections", "attention.sliding_window_pattern"]

    def harmed(model, *damages):
        return bytes([models.index(model)]) + b"".join(damages)

    def size(letter, n):
        return damage(SIZE, 0, SIZES.index(letter), bytes([n - 1]))

    def u32(key, n):
        return damage(KEY, AS_U32, keys.index(key), struct.pack("<I", n))

    def f32(key, x):
        return damage(KEY, AS_F32, keys.index(key), struct.pack("<f", x))

    def contents(tensor, kind, pattern):
        return damage(CONTENTS, kind, tensor, pattern)

    nan = float("nan")
    for model in models[::5]:
        yield model, harmed(model)
    yield "small", harmed("llama", *(size(letter, 1) for letter in "EHGFL"), size("D", 2),
                          size("R", 2))
    yield "odd_heads", harmed("llama", size("H", 7), size("G", 1))
    yield "no_heads", harmed("gemma2-27b", u32("attention.head_count", 0))
    yield "no_layers", harmed("llama", u32("block_count", 0))
    yield "many_layers", harmed("llama", u32("block_count", 2**32 - 1))
    yield "wide_dense", harmed("qwen3moe", u32("feed_forward_length", 2**24))
    yield "no_rank", harmed("deepseek2-v2", u32("attention.q_lora_rank", 0))
    yield "no_latent", harmed("deepseek2-v2", u32("attention.kv_lora_rank", 0))
    yield "one_expert", harmed("llama-experts", size("X", 1), size("U", 1))
    yield "odd_groups", harmed("deepseek2-v3", u32("expert_group_count", 5))
    yield "no_groups_used", harmed("deepseek2-v3", u32("expert_group_used_count", 0))
    yield "wrapping_width", harmed("deepseek2-v3", u32("expert_shared_count", 2**28 + 1))
    yield "all_layers_extra", harmed("glm4-extra-layer", u32("nextn_predict_layers", 3))
    yield "no_context", harmed("llama-yarn", u32("context_length", 0),
                               u32("rope.scaling.original_context_length", 0))
    yield "base_1", harmed("llama-yarn", f32("rope.freq_base", 1))
    yield "base_nan", harmed("llama", f32("rope.freq_base", nan))
    yield "cap_negative", harmed("gemma2", f32("final_logit_softcapping", -1))
    yield "clamp_nan", harmed("mpt", f32("attention.clamp_kqv", nan))
    yield "window_all", harmed("gemma2", u32("attention.sliding_window", 2**32 - 1))
    yield "list_short", harmed("llama", damage(KEY, AS_LIST, keys.index("attention.head_count"),
                                               b"\4\0\0\0\0\0\0\1"))
    yield "head_count_text", harmed("llama", damage(KEY, AS_WORD,
                                                    keys.index("attention.head_count"), b""))
    yield "rope_dynamic", harmed("llama", damage(KEY, AS_WORD, keys.index("rope.scaling.type"),
                                                 b"\5"))
    yield "weight_nan", harmed("llama-experts", contents(7, TYPE_F32, floats(nan, nan)))
    yield "embedding_f16", harmed("llama", contents(0, TYPE_F16, bytes(range(60, 68))))
    yield "embedding_q8_0", harmed("llama", contents(0, TYPE_Q8_0, bytes(range(8))))
    yield "wide_tensor", harmed("llama", damage(SHAPE, 0, 5, struct.pack("<Q", 33)))
    yield "tensor_missing", harmed("llama", damage(ABSENCE, 0, 5, b""))


TYPE_I32 = 26
TOKENS = ("tokens", [2], TYPE_I32, struct.pack("<2i", 3, 1))
LOGITS = ("logits", [3, 2], TYPE_F32, floats(1, -2, 0.5, 3, 0, 1))


def trace_corpus():
    whole = gguf([kv("general.type", STRING, "reference")], [TOKENS, LOGITS] + DENSE + EXPERTS)
    yield "whole", whole
    yield "cut", whole[:-40]
    yield "no_products", gguf([], [TOKENS, LOGITS])
    yield "no_tokens", gguf([], [LOGITS])
    yield "no_logits", gguf([], [TOKENS])
    yield "other_rows", gguf([], [TOKENS, ("logits", [3], TYPE_F32, floats(1, 2, 3))])
    yield "half", gguf([], [TOKENS, ("logits", [3, 2], TYPE_F16, bytes(12))])
    yield "nan", gguf([], [TOKENS, ("logits", [1, 2], TYPE_F32, floats(float("nan"), 1))] + DENSE)
    yield "counts_missing", gguf([], [TOKENS, LOGITS, DENSE[0]])
    yield "counts_too_many", gguf([], [TOKENS, LOGITS, DENSE[0],
                                       ("q.counts", [2], TYPE_F32, floats(1, 2))])
    yield "long_name", gguf([], [TOKENS, LOGITS, ("n" * 180 + ".in_sum2", [1], TYPE_F32, floats(1)),
                                 ("n" * 180 + ".counts", [1], TYPE_F32, floats(1))])
    yield "no_name", gguf([], [TOKENS, LOGITS, (".in_sum2", [1], TYPE_F32, floats(1))])


CORPORA = {
    "gguf": gguf_corpus,
    "imatrix_gguf": imatrix_gguf_corpus,
    "imatrix_dat": imatrix_dat_corpus,
    "imatrix_zst": imatrix_zst_corpus,
    "json_document": json_document_corpus,
    "model": model_corpus,
    "tokenizer": tokenizer_corpus,
    "trace": trace_corpus,
}


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "corpus"
    for target, corpus in CORPORA.items():
        (root / target).mkdir(parents=True, exist_ok=True)
        for name, content in corpus():
            (root / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
