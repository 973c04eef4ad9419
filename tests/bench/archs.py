#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every family of models, from collection to perplexity, beside llama.cpp's programs.

    write_golden_models --wide FOLDER
    archs.py --llama llama.cpp/build/bin FOLDER/*.gguf

For every model: llama-imatrix and `imatrix collect` run the same text, and the two files must hold
the same entries with the same counts and sums; llama-quantize takes our file and `imatrix quantize`
takes llama-imatrix's, and both must give every tensor the same type; llama-perplexity and
`imatrix eval` must find the same perplexity, of the model and of ours in every type. One row a
family, the worst over its models; what disagrees is named on standard error, and the exit status
is 1.

A model without a tokenizer is lent one: of SentencePiece, whose tokens are the characters of ASCII,
with a text of random ones. The programs of llama.cpp run with an F32 cache and without flash
attention, which is what F32 arithmetic means here. They round the inputs of quantized weights to 8
bits and those of F16 weights to 16, which we do not: a model that is not F32 they run as
llama-quantize writes it out in F32. How far perplexities lie apart without that stands in
parentheses. (--no-repack: the repacked products stop at the latent attention of several chunks.)

Columns of in_sum2 are compared by |ours - theirs| / (theirs + mean of theirs in the matrix): where
an expert saw two tokens a column is near zero by chance, and two correct sums differ there by any
factor.
"""

import argparse
import array
import itertools
import json
import math
import os
import random
import re
import shlex
import struct
import subprocess
import sys
from pathlib import Path

from lend_tokenizer import ALIGNMENT, copy_with_keys, read_keys, read_string, read_struct

TEXT_SEED = 1
CHARACTERS = [chr(c) for c in range(33, 127)]
SPACE = "\u2581"
NORMAL, UNKNOWN, CONTROL = 1, 2, 3  # types of tokens
TYPE_F32 = 0  # of tensors
U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9  # of keys
TIED_HEAD = "token_embd.weight"  # of which llama-imatrix keeps no statistics


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", default="build/bin/imatrix", help="imatrix [%(default)s]")
    parser.add_argument("--llama", required=True, help="folder of llama.cpp's programs")
    parser.add_argument("--text", help="for models with a tokenizer of their own")
    parser.add_argument("--types", default="Q4_K_M,Q2_K,MXFP4_MOE", help="[%(default)s]")
    parser.add_argument("--ctx-size", type=int, default=128)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--tolerance", type=float, default=2e-3,
                        help="of columns and perplexities [%(default)s]")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--work", default="out/archs", help="directory for files [%(default)s]")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    return parser.parse_args()


# -------------------------------------------------------------------------------------------------
# GGUF


def read_tensors(path):
    """name -> (shape, type, offset in the file) of every tensor, and the keys' bytes."""
    tensors = {}
    with open(path, "rb") as file:
        n_tensors, keys = read_keys(file)
        for _ in range(n_tensors):
            name = read_string(file).decode()
            n_dims, = read_struct(file, "<I")
            shape = read_struct(file, f"<{n_dims}Q")
            tensors[name] = (shape, *read_struct(file, "<IQ"))
        start = file.tell() + -file.tell() % ALIGNMENT
    return {n: (s, t, start + offset) for n, (s, t, offset) in tensors.items()}, keys


def read_floats(path, tensor):
    shape, _, offset = tensor
    values = array.array("f")
    with open(path, "rb") as file:
        file.seek(offset)
        values.fromfile(file, math.prod(shape))
    return values


def key_bytes(name, kind, payload):
    return struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + payload


def string_bytes(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def array_key(name, kind, items, layout):
    """layout: of struct, or None for strings."""
    pack = string_bytes if layout is None else lambda item: struct.pack(layout, item)
    payload = struct.pack("<IQ", kind, len(items)) + b"".join(map(pack, items))
    return key_bytes(name, ARRAY, payload)


def value_of(keys, name):
    """A U32 or string of the keys; None where it is not there."""
    raw = keys.get(name.encode())
    if raw is None:
        return None
    raw = raw[8 + len(name):]
    kind, = struct.unpack_from("<I", raw)
    return raw[12:].decode() if kind == STRING else struct.unpack_from("<I", raw, 4)[0]


# -------------------------------------------------------------------------------------------------
# A tokenizer for models that have none


def vocabulary(n_tokens):
    """Three special tokens, then characters, then pairs of them."""
    pairs = map("".join, itertools.product(CHARACTERS, repeat=2))
    plain = itertools.chain([SPACE], CHARACTERS, pairs)
    return ["<unk>", "<s>", "</s>", *itertools.islice(plain, n_tokens - 3)]


def tokenizer_keys(n_tokens):
    tokens = vocabulary(n_tokens)
    kinds = [UNKNOWN, CONTROL, CONTROL] + [NORMAL] * (n_tokens - 3)
    prefix = b"tokenizer.ggml."
    keys = {
        b"model": lambda n: key_bytes(n, STRING, string_bytes("llama")),
        b"tokens": lambda n: array_key(n, STRING, tokens, None),
        b"scores": lambda n: array_key(n, F32, [-float(i) for i in range(n_tokens)], "<f"),
        b"token_type": lambda n: array_key(n, I32, kinds, "<i"),
        b"unknown_token_id": lambda n: key_bytes(n, U32, struct.pack("<I", 0)),
        b"bos_token_id": lambda n: key_bytes(n, U32, struct.pack("<I", 1)),
        b"eos_token_id": lambda n: key_bytes(n, U32, struct.pack("<I", 2)),
    }
    return {prefix + name: make(prefix + name) for name, make in keys.items()}


def random_text(n_vocab, n_characters):
    letters = [" " if token == SPACE else token for token in vocabulary(n_vocab)[3:]]
    return "".join(random.Random(TEXT_SEED).choices(letters, k=n_characters))


def prepare(args, path):
    """The model to run, with a tokenizer, and its text."""
    tensors, keys = read_tensors(path)
    if b"tokenizer.ggml.tokens" in keys:
        return path, args.text
    n_vocab = tensors["token_embd.weight"][0][1]
    model = Path(args.work) / "model.gguf"
    text = Path(args.work) / "text.txt"
    copy_with_keys(path, tokenizer_keys(n_vocab), model)
    # Pairs merge, so that a token may be two characters; one chunk more for what starts a text.
    text.write_text(random_text(n_vocab, 2 * args.ctx_size * (args.chunks + 1)))
    return str(model), str(text)


# -------------------------------------------------------------------------------------------------
# The programs


def run(*command):
    """What a command says, on both streams."""
    # Threads that wait should sleep, not spin: on a busy machine that is several times faster.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"}
    result = subprocess.run(command, env=environment, capture_output=True)
    said = (result.stdout + result.stderr).decode(errors="replace")
    if result.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}\n{said[-1500:]}")
    return result.stdout.decode(errors="replace"), said


class Programs:
    """The six programs on one model and text; files go to the work directory."""

    def __init__(self, args, model, text):
        self.args, self.model = args, model
        self.window = ["-c", str(args.ctx_size), "--chunks", str(args.chunks), "-f", text,
                       "-t", args.threads]
        self.f32 = ["-ctk", "f32", "-ctv", "f32", "-fa", "off", "--no-repack"]

    def path(self, name):
        return str(Path(self.args.work) / name)

    def llama(self, name):
        return str(Path(self.args.llama) / name)

    def collect(self, plain):
        """Ours of the model, llama-imatrix's of the same in F32."""
        ours, theirs = self.path("ours.imatrix.gguf"), self.path("theirs.imatrix.gguf")
        run(self.args.program, "collect", "-m", self.model, "-o", ours, "--output-format", "gguf",
            "--drop-tail", "--process-output", "--precision", "exact", "--restart", *self.window)
        run(self.llama("llama-imatrix"), "-m", plain, "-o", theirs, "--process-output",
            "--no-ppl", *self.window, *self.f32)
        return ours, theirs

    def quantize(self, kind, ours, theirs):
        """Each with the imatrix of the other."""
        mine, other = self.path(f"ours-{kind}.gguf"), self.path(f"theirs-{kind}.gguf")
        options = ["--allow-requantize"]
        run(self.args.program, "quantize", "--imatrix", theirs, *options, self.model, mine, kind)
        run(self.llama("llama-quantize"), "--imatrix", ours, *options, self.model, other, kind)
        return mine, other

    def as_f32(self, model):
        """The path of a model whose weights llama-quantize has written out in full."""
        if all(kind == TYPE_F32 for _, kind, _ in read_tensors(model)[0].values()):
            return model
        plain = self.path("plain.gguf")
        run(self.llama("llama-quantize"), "--allow-requantize", model, plain, "F32")
        return plain

    def perplexity(self, model):
        said, _ = run(self.args.program, "eval", "-m", model, "--json", *self.window)
        return json.loads(said)["perplexity"]["value"]

    def llama_perplexity(self, model):
        for _ in range(5):  # now and then it ends before its last line is out
            _, said = run(self.llama("llama-perplexity"), "-m", model, *self.window, *self.f32)
            estimate = re.search(r"Final estimate: PPL = ([\w.]+)", said)
            if estimate:
                return float(estimate[1])
        raise RuntimeError(f"llama-perplexity gives no estimate\n{said[-1500:]}")


# -------------------------------------------------------------------------------------------------
# Comparisons


def in_sum2_error(ours, theirs, n_matrices):
    """The largest over all columns; both hold n_matrices runs of columns."""
    worst, n = 0.0, len(theirs) // n_matrices
    for start in range(0, len(theirs), n):
        mean = sum(theirs[start:start + n]) / n
        for a, b in zip(ours[start:start + n], theirs[start:start + n]):
            if a != b:
                worst = max(worst, abs(a - b) / (b + mean))
    return worst


def compare_imatrices(ours, theirs, complain):
    """The number of entries, and the largest error of a column."""
    mine, _ = read_tensors(ours)
    other, _ = read_tensors(theirs)
    entries = {name.removesuffix(".in_sum2") for name in other if name.endswith(".in_sum2")}
    extra = {name.removesuffix(".in_sum2") for name in mine if name.endswith(".in_sum2")}
    for name in sorted((entries ^ extra) - {TIED_HEAD}):
        complain(f"{name}: only in {'ours' if name in extra else 'theirs'}")
    worst = 0.0
    for name in sorted(entries & extra):
        sums, counts = name + ".in_sum2", name + ".counts"
        shapes = [(t[sums][0], t[counts][0]) for t in (mine, other)]
        if shapes[0] != shapes[1]:
            complain(f"{name}: shapes {shapes[0]}, theirs {shapes[1]}")
            continue
        n_seen = read_floats(ours, mine[counts]), read_floats(theirs, other[counts])
        if n_seen[0] != n_seen[1]:
            complain(f"{name}: counts {list(n_seen[0])}, theirs {list(n_seen[1])}")
        error = in_sum2_error(read_floats(ours, mine[sums]), read_floats(theirs, other[sums]),
                              len(n_seen[1]))
        worst = max(worst, error)
    return len(entries), worst


def types_of(path):
    """name -> (shape, type). llama-quantize drops trailing dimensions of 1."""
    return {name: (re.sub(r"(, 1)+$", "", str(list(shape))[1:-1]), kind)
            for name, (shape, kind, _) in read_tensors(path)[0].items()}


def compare_types(ours, theirs, complain):
    mine, other = types_of(ours), types_of(theirs)
    for name in sorted(mine.keys() | other.keys()):
        if mine.get(name) != other.get(name):
            complain(f"{name}: shape and type {mine.get(name)}, theirs {other.get(name)}")


def relative(ours, theirs):
    return abs(ours / theirs - 1)


def check_type(programs, kind, imatrices, complain):
    """Relative differences of perplexity: of the weights, and with inputs of 8 bits."""
    mine, other = programs.quantize(kind, *imatrices)
    compare_types(mine, other, complain)
    ours = programs.perplexity(mine)
    rounded = relative(ours, programs.llama_perplexity(mine))
    exact = relative(ours, programs.llama_perplexity(programs.as_f32(mine)))
    os.remove(mine)
    os.remove(other)
    return exact, rounded


def check(args, path, complain):
    """Figures of one model, the larger the worse: name -> number, or the pair of a type."""
    model, text = prepare(args, path)
    _, keys = read_tensors(path)
    n_experts = value_of(keys, value_of(keys, "general.architecture") + ".expert_count")
    programs = Programs(args, model, text)
    plain = programs.as_f32(model)
    imatrices = programs.collect(plain)
    n_entries, error = compare_imatrices(*imatrices, complain)
    exact = relative(programs.perplexity(model), programs.llama_perplexity(plain))
    figures = {"entries": (n_entries,), "in_sum2": (error,), "PPL": (exact,)}
    for kind in args.types.split(","):
        if kind != "MXFP4_MOE" or n_experts:
            figures[kind] = check_type(programs, kind, imatrices,
                                       lambda text, kind=kind: complain(f"{kind}: {text}"))
    for name, (figure, *_) in figures.items():
        if name != "entries" and not figure <= args.tolerance:
            complain(f"{name} differs by {figure:.1e}")
    return figures


# -------------------------------------------------------------------------------------------------
# The table


def print_row(cells):
    print("|", " | ".join(cells), "|", flush=True)


def check_family(args, paths):
    """The largest figures over the models, and the number of disagreements."""
    complaints, worst = set(), {}
    for path in paths:
        def complain(text):
            # What is wrong in every layer is said once.
            line = f"{Path(path).stem}: " + re.sub(r"blk\.\d+", "blk.*", text)
            if line not in complaints:
                complaints.add(line)
                print(line, file=sys.stderr, flush=True)

        try:
            figures = check(args, path, complain)
        except RuntimeError as failure:
            complain(str(failure))
            continue
        for name, values in figures.items():
            worst[name] = tuple(map(max, zip(values, worst.get(name, values))))
    return worst, len(complaints)


def cell(worst, name):
    if name not in worst:
        return "–"
    first, *more = worst[name]
    return f"{first:.0e}" + "".join(f" ({figure:.0e})" for figure in more)


def main():
    args = parse_arguments()
    Path(args.work).mkdir(parents=True, exist_ok=True)
    families = {}
    for path in args.models:
        arch = value_of(read_tensors(path)[1], "general.architecture")
        families.setdefault(arch, []).append(path)
    titles = ["in_sum2", "PPL", *args.types.split(",")]
    print_row(["family", "models", "entries", *titles, "disagreements"])
    print_row(["---"] * (4 + len(titles)))
    n_all = 0
    for arch, paths in sorted(families.items()):
        worst, n_complaints = check_family(args, paths)
        n_all += n_complaints
        print_row([arch, str(len(paths)), str(worst.get("entries", (0,))[0]),
                   *(cell(worst, title) for title in titles), str(n_complaints or "none")])
    sys.exit(n_all > 0)


if __name__ == "__main__":
    main()
