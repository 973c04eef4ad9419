#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `quantize --calibrate` costs beside collecting and quantizing, as a Markdown table.

    bench_calibrate.py --text T --vocab V [--layers 1,2,4] [--shape "--embd 2048 ..."] TYPE...

Models of random weights are made as bench_collect.py makes them. For each, in turns: `collect`,
`quantize --imatrix` to every TYPE, and one `quantize --calibrate` to all of them. The ratio is that
of the last to the sum of the others, the median over the turns of CPU seconds (user and system time
of all threads); memory is the peak of the calibrated run.
"""

import argparse
import shlex
import statistics
from pathlib import Path

from bench_collect import CONTEXT, SHAPE, model_of, print_row
from bench_quantize import measure


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", default="build/bin/imatrix", help="imatrix [%(default)s]")
    parser.add_argument("--make-model", default="build/tests/bench/make_model",
                        help="writes the models [%(default)s]")
    parser.add_argument("--text", required=True, help="of at least --chunks chunks")
    parser.add_argument("--vocab", required=True, help="GGUF whose tokenizer the models get")
    parser.add_argument("--shape", default=SHAPE, help="options of make_model [%(default)s]")
    parser.add_argument("--layers", default="22", help="one number or several [%(default)s]")
    parser.add_argument("--chunks", default="32", help=f"of {CONTEXT} tokens [%(default)s]")
    parser.add_argument("--options", default="", help="more options of the calibrated run")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--work", default="out/collect", help="directory for files [%(default)s]")
    parser.add_argument("types", nargs="*", metavar="TYPE", default=["Q4_K_M"])
    args = parser.parse_args()
    args.isa = "native"  # for model_of
    return args


def turn(args, model):
    """Measurements of collecting, of quantizing to all types, and of the calibrated run."""
    work = Path(args.work)
    imatrix, out = str(work / "calibrate.imatrix"), str(work / "calibrate.gguf")
    text = ["-c", str(CONTEXT), "--chunks", args.chunks, "-t", args.threads]
    collected = measure([args.program, "collect", "-m", model, "-f", args.text, *text,
                               "--restart", "-o", imatrix])
    quantized = [measure([args.program, "quantize", "--imatrix", imatrix, "-t", args.threads,
                                model, out, kind]) for kind in args.types]
    for kind in args.types:
        (work / f"{Path(model).stem}-{kind}.gguf").unlink(missing_ok=True)
    calibrated = measure([args.program, "quantize", "--calibrate", args.text, *text,
                                *shlex.split(args.options), "--types", ",".join(args.types),
                                "-o", str(work), model])
    return collected, [sum(column) for column in zip(*quantized)], calibrated


def bench(args, layers):
    args.layers = layers
    model = model_of(args, "f16")
    measure(["cat", model])
    turns = [turn(args, model) for _ in range(args.turns)]
    ratios = [[calibrated[i] / (collected[i] + quantized[i])
               for collected, quantized, calibrated in turns] for i in (0, 1)]
    parts = [[statistics.median(t[part][i] for t in turns) for i in (0, 1)] for part in range(3)]
    return [
        layers,
        *(f"{wall:.0f} / {cpu:.0f}" for wall, cpu in parts),
        *(f"{statistics.median(r):.2f}" for r in ratios),
        f"{max(t[2][2] for t in turns):.0f} MiB",
    ]


def main():
    args = parse_arguments()
    Path(args.work).mkdir(parents=True, exist_ok=True)
    titles = ["layers", "collect: wall / CPU s", "quantize", "calibrated", "ratio of wall",
              "ratio of CPU", "peak memory"]
    print_row(titles)
    print_row(["---"] * len(titles))
    for layers in args.layers.split(","):
        print_row(bench(args, layers))


if __name__ == "__main__":
    main()
