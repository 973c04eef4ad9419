#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPU seconds of tokenizing a text, ours beside llama-tokenize's.

    bench_tokenizer.py --text T [--megabytes 50] [--llama-tokenize PROGRAM] MODEL...

The text is repeated up to the size that is asked for. Both programs use one thread and run in turns,
ours first; the ratio is the median over the turns of theirs / ours, in CPU seconds (user + system) and
in wall seconds. llama-tokenize also prints the ids, into nothing, and cannot be kept from it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", default="build/tests/bench/bench_tokenizer", help="[%(default)s]")
    parser.add_argument("--llama-tokenize", help="llama.cpp's program, to compare with")
    parser.add_argument("--text", required=True)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    return parser.parse_args()


def measure(command):
    """CPU seconds and wall seconds of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, wall


def bench_model(args, model, text):
    """Cells of the table: CPU seconds of each, ratios of CPU and wall seconds."""
    commands = [[args.program, model, text]]
    if args.llama_tokenize:
        commands.append([args.llama_tokenize, "-m", model, "-f", text, "--ids", "--log-disable"])
    turns = [[measure(command) for command in commands] for _ in range(args.turns)]
    contestants = list(zip(*turns))
    cpu = [statistics.median(run[0] for run in runs) for runs in contestants]
    ratios = [statistics.median(turn[-1][i] / turn[0][i] for turn in turns) for i in (0, 1)]
    return [*(f"{s:.1f}" for s in cpu), *(f"{r:.1f}" for r in ratios)]


def print_row(cells):
    print("|", " | ".join(cells), "|", flush=True)


def main():
    args = parse_arguments()
    names = ["ours", "llama.cpp"] if args.llama_tokenize else ["ours"]
    titles = ["model", *(f"s {n}" for n in names), "CPU ratio", "wall ratio"]
    unit = Path(args.text).read_bytes()
    size = int(args.megabytes * 1e6)
    with tempfile.NamedTemporaryFile(suffix=".txt") as text:
        text.write((unit * (size // len(unit) + 1))[:size])
        text.flush()
        print_row(titles)
        print_row(["---"] * len(titles))
        for model in args.models:
            print_row([Path(model).stem, *bench_model(args, model, text.name)])


if __name__ == "__main__":
    main()
