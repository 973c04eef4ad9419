#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed of whole calibration runs, ours beside llama-imatrix's, as a Markdown table.

    bench_collect.py --text T --vocab V [--llama-imatrix PROGRAM] [TYPE...]

make_model writes a Llama of 1.1 billion random weights for every TYPE (f16, bf16), lend_tokenizer.py
gives it the tokenizer of V, a GGUF file of 32000 tokens; both stay in the work directory for the
next time. The programs run in turns, ours first, on the same chunks with the same number of threads
and without perplexity: nobody runs a head. Speed is the tokens per second of the whole program,
from reading to writing; CPU seconds are user and system time of all threads. Figures are medians over
the turns, the ratio is the median of the turns' ratios, so that a machine whose pace changes favours
neither. Before that a run of ours brings the model into the page cache.

Shapes smaller than the 1.1 billion: --layers, or --shape with options of make_model.

--isa avx2 keeps oneDNN to AVX2. Our own loops are chosen when they are compiled: build the program
with -DCMAKE_C_FLAGS=-DIMX_NO_AVX512 and name it, and a llama-imatrix built without AVX-512.

--profile runs ours once more under perf (Linux) and says where the time goes: shares of the samples
of all threads, and the rate of the matrix products, whose operations are counted from the shape. The
peak to hold it against is what bench_products measures.
"""

import argparse
import os
import resource
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHAPE = "--embd 2048 --kv 256 --ff 5632 --vocab 32000"
CONTEXT = 512

# What the samples of a profile belong to: the first row with a word of the library or symbol.
PARTS = {
    "matrix products": ["[JIT]", "libdnnl", "[anon", "//anon", "prepare_"],
    "unpacking weights": ["store_", "imx_decode", "decode_", "unpack"],
    "statistics": ["add_strip", "column_stats"],
    "attention, activations, norms": ["exponentiate", "gate", "norm", "rotate", "attend", "add_",
                                      "softmax"],
    "kernel (page faults, files)": ["[kernel"],
    "the rest": [""],
}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", default="build/bin/imatrix", help="imatrix [%(default)s]")
    parser.add_argument("--make-model", default="build/tests/bench/make_model",
                        help="writes the models [%(default)s]")
    parser.add_argument("--llama-imatrix", help="llama.cpp's program, to compare with")
    parser.add_argument("--text", required=True, help="of at least --chunks chunks")
    parser.add_argument("--vocab", required=True, help="GGUF whose tokenizer the models get")
    parser.add_argument("--shape", default=SHAPE, help="options of make_model [%(default)s]")
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--chunks", type=int, default=16, help=f"of {CONTEXT} tokens [%(default)s]")
    parser.add_argument("--options", default="", help="more options of `imatrix collect`")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="where the time goes, by perf")
    parser.add_argument("--work", default="out/collect", help="directory for files [%(default)s]")
    parser.add_argument("types", nargs="*", metavar="TYPE", default=["f16", "bf16"])
    return parser.parse_args()


def environment(args):
    # Threads that wait should sleep, not spin: on a busy machine that is several times faster.
    limits = {"DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}  # oneDNN 2 and 3
    return {**os.environ, "OMP_WAIT_POLICY": "passive", **(limits if args.isa == "avx2" else {})}


def run(args, command):
    result = subprocess.run(command, env=environment(args), capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"failed: {shlex.join(command)}\n{result.stderr}")
    return result.stdout


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(args, command):
    """Wall-clock seconds and CPU seconds of a command."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    run(args, command)
    return time.perf_counter() - wall, cpu_seconds() - cpu


def model_of(args, kind):
    """The path of the model of a type; made unless it is there."""
    shape = [*shlex.split(args.shape), "--layers", str(args.layers), "--type", kind]
    model = Path(args.work) / ("".join(shape).replace("--", "-").lstrip("-") + ".gguf")
    if not model.exists():
        bare, whole = model.with_suffix(".bare"), model.with_suffix(".whole")
        run(args, [args.make_model, *shape, str(bare)])
        run(args, [sys.executable, str(HERE / "lend_tokenizer.py"), str(bare), args.vocab,
                   str(whole)])
        bare.unlink()
        whole.rename(model)
    return str(model)


def commands(args, model):
    """Ours, then llama.cpp's where there is one."""
    common = ["-m", model, "-f", args.text, "-c", str(CONTEXT), "--chunks", str(args.chunks),
              "-t", args.threads, "--no-ppl", "-o", str(Path(args.work) / "statistics.gguf")]
    yield [args.program, "collect", "--output-format", "gguf", "--restart",
           *shlex.split(args.options), *common]
    if args.llama_imatrix:
        yield [args.llama_imatrix, *common]


def bench(args, kind):
    """Cells of the table: tokens per second of each, CPU seconds of each, the ratios of the two."""
    entrants = list(commands(args, model_of(args, kind)))
    n_tokens = args.chunks * CONTEXT
    measure(args, entrants[0])
    turns = [[measure(args, command) for command in entrants] for _ in range(args.turns)]
    medians = [[statistics.median(turn[i][j] for turn in turns) for j in (0, 1)]
               for i in range(len(entrants))]
    cells = [f"{n_tokens / wall:.0f}" for wall, _ in medians] + [f"{cpu:.1f}" for _, cpu in medians]
    for i in (0, 1) if args.llama_imatrix else ():
        cells.append(f"{statistics.median(turn[1][i] / turn[0][i] for turn in turns):.2f}")
    return cells


def number_of_operations(args):
    """Multiplications and additions of the matrix products, those of the attention included."""
    words = shlex.split(args.shape)
    embd, kv, ff = (int(words[words.index(name) + 1]) for name in ("--embd", "--kv", "--ff"))
    weights = args.layers * (2 * embd * embd + 2 * embd * kv + 3 * embd * ff) - embd * ff
    scores = args.layers * 2 * embd * (CONTEXT + 64) // 2  # blocks of 64 queries, causal
    return 2 * args.chunks * CONTEXT * (weights + scores)


def profile(args, kind):
    """Prints the share of every part, and the rate of the products."""
    data = str(Path(args.work) / "perf.data")
    command = next(commands(args, model_of(args, kind)))
    _, cpu = measure(args, ["perf", "record", "-q", "-F", "499", "-o", data, *command])
    report = run(args, ["perf", "report", "-q", "-i", data, "--stdio", "--sort", "dso,symbol",
                        "-F", "overhead,dso,symbol", "-w", "0,40,60"])
    shares = dict.fromkeys(PARTS, 0.0)
    for line in filter(None, map(str.strip, report.splitlines())):
        share, what = line.split("%", 1)
        part = next(p for p, words in PARTS.items() if any(word in what for word in words))
        shares[part] += float(share)
    total = sum(shares.values())  # each line is rounded
    print_row([f"{kind}: part", "share of the time"])
    print_row(["---", "---"])
    for part, share in shares.items():
        print_row([part, f"{100 * share / total:.1f} %"])
    seconds = cpu * shares["matrix products"] / total
    print(f"\nProducts: {number_of_operations(args) / seconds / 1e9:.0f} GFLOP/s a thread\n")


def print_row(cells):
    print("|", " | ".join(cells), "|", flush=True)


def main():
    args = parse_arguments()
    Path(args.work).mkdir(parents=True, exist_ok=True)
    names = ["ours", "llama.cpp"] if args.llama_imatrix else ["ours"]
    titles = ["type", *(f"tokens/s {n}" for n in names), *(f"CPU s {n}" for n in names),
              *(["ratio of speeds", "ratio of CPU s"] if args.llama_imatrix else [])]
    print_row(titles)
    print_row(["---"] * len(titles))
    for kind in args.types:
        print_row([kind, *bench(args, kind)])
    for kind in args.types if args.profile else []:
        print()
        profile(args, kind)


if __name__ == "__main__":
    main()
