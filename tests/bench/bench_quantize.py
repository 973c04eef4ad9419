#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Wall-clock time and memory of whole quantization runs, ours beside llama-quantize's.

    bench_quantize.py --model M [--imatrix I] [--llama-quantize PROGRAM] TYPE...

Both programs read the same model and imatrix (a GGUF one, which both understand) with the same
number of threads. They run in turns, ours first, and the speed ratio is the median over the turns,
so that a machine whose pace changes favours neither. Before that a run brings the model into the page
cache, when there is something to compare. tests/bench/make_model.c makes large models.
"""

import argparse
import os
import shlex
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
    parser.add_argument("--program", default="build/bin/imatrix", help="imatrix [%(default)s]")
    parser.add_argument("--llama-quantize", help="llama.cpp's program, to compare with")
    parser.add_argument("--model", required=True)
    parser.add_argument("--imatrix", help="GGUF")
    parser.add_argument("--options", default="", help="more options of `imatrix quantize`")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--work", default="out", help="directory for files [%(default)s]")
    parser.add_argument("types", nargs="+", metavar="TYPE")
    return parser.parse_args()


def measure(command):
    """Seconds of wall clock and of all threads, and peak resident MiB, of a command."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status != 0:
            log.seek(0)
            sys.exit(f"failed: {shlex.join(command)}\n{log.read().decode()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def commands(args, out, kind):
    """Ours, then llama.cpp's where there is one."""
    statistics_options = ["--imatrix", args.imatrix] if args.imatrix else []
    ours = [args.program, "quantize", *statistics_options, *shlex.split(args.options),
            "-t", args.threads, args.model, out, kind]
    theirs = [args.llama_quantize, *statistics_options, args.model, out, kind, args.threads]
    return [ours, theirs] if args.llama_quantize else [ours]


def bench_type(args, out, kind):
    """Cells of the table: seconds of each, speed ratio, peak MiB of each."""
    turns = []
    for _ in range(args.turns):
        turn = []
        for command in commands(args, out, kind):
            turn.append(measure(command))
            os.remove(out)
        turns.append(turn)
    contestants = list(zip(*turns))
    seconds = [statistics.median(s for s, _, _ in runs) for runs in contestants]
    memory = [max(m for _, _, m in runs) for runs in contestants]
    ratio = statistics.median(turn[-1][0] / turn[0][0] for turn in turns)
    return [*(f"{s:.1f}" for s in seconds), f"{ratio:.2f}", *(f"{m:.0f}" for m in memory)]


def print_row(cells):
    print("|", " | ".join(cells), "|", flush=True)


def main():
    args = parse_arguments()
    Path(args.work).mkdir(parents=True, exist_ok=True)
    out = str(Path(args.work) / "bench-quantize.gguf")
    names = ["ours", "llama.cpp"] if args.llama_quantize else ["ours"]
    titles = ["type", *(f"s {n}" for n in names), "speed ratio", *(f"MiB {n}" for n in names)]
    if args.llama_quantize:
        measure(commands(args, out, args.types[0])[0])
    print_row(titles)
    print_row(["---"] * len(titles))
    for kind in args.types:
        print_row([kind, *bench_type(args, out, kind)])


if __name__ == "__main__":
    main()
