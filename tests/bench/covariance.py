#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What error feedback gains, step by step, as Markdown tables.

One source model, one calibration text, the same types and bytes for five contestants:

    none       llama-quantize without an imatrix
    llama      llama-quantize with the imatrix
    columns    ours: `quantize --imatrix`, errors weighed column by column (--covariance off)
    blocks     ours: `quantize --imatrix` of `collect --covariance`, feedback within super-blocks
    rows       ours: `quantize --calibrate`, feedback over whole rows

    covariance.py --model M --calibration TEXT --text like=FILE --text unlike=FILE TYPE...

Every file is measured by `imatrix eval` against the original; ratios of the KL divergence are to
`columns`. Without --llama-quantize the first two are left out. Files that have been evaluated are
remembered in the work directory by their hash.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import quality

REFERENCE = "columns"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", default="build/bin/imatrix", help="imatrix [%(default)s]")
    parser.add_argument("--llama-quantize", help="llama.cpp's program, to compare with")
    parser.add_argument("--model", required=True)
    parser.add_argument("--calibration", required=True, metavar="TEXT")
    parser.add_argument("--text", action="append", required=True, metavar="NAME=FILE",
                        help="to measure on; repeatable")
    parser.add_argument("--ctx-size", default="512", help="of calibration and measurement")
    parser.add_argument("--chunks", help="measure at most so many")
    parser.add_argument("--options", default="", help="of all contestants, such as types of the ends")
    parser.add_argument("--calibrate-options", action="append", metavar="NAME=OPTIONS",
                        help="of `quantize --calibrate`; repeatable [rows=]")
    parser.add_argument("--only", help="contestants to run, separated by commas [all]")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--work", default="out/covariance", help="directory for files [%(default)s]")
    parser.add_argument("types", nargs="+", metavar="TYPE")
    return parser.parse_args()


def collect(args, work):
    """The imatrix of the calibration text, products of columns included."""
    path = work / f"{Path(args.model).stem}-{Path(args.calibration).stem}-{args.ctx_size}.imatrix"
    if not path.exists():
        quality.run(args.program, "collect", "-m", args.model, "-f", args.calibration, "-c",
                    args.ctx_size, "--covariance", "-t", args.threads, "-o", str(path))
    return str(path)


def contestants(args, work):
    """Names, and functions that give the command for an output file and a type."""
    imatrix = collect(args, work)
    common = shlex.split(args.options)
    theirs = SimpleNamespace(imatrix=imatrix)

    def ours(*options):
        return lambda out, kind: [args.program, "quantize", *options, *common, "-t", args.threads,
                                  args.model, out, kind]

    def llama(*options):
        return lambda out, kind: [args.llama_quantize, *options, *common, args.model, out, kind,
                                  args.threads]

    if args.llama_quantize:
        yield "none", llama()
        yield "llama", llama("--imatrix", quality.imatrix_as_gguf(theirs, work))
    yield "columns", ours("--imatrix", imatrix, "--covariance", "off")
    yield "blocks", ours("--imatrix", imatrix)
    for text in args.calibrate_options or ["rows="]:
        name, _, options = text.partition("=")
        yield name, ours("--calibrate", args.calibration, "-c", args.ctx_size,
                         *shlex.split(options))


def measure(args, work, entrants, kind):
    """By text, then by contestant, what `imatrix eval` says; and the bytes they all have."""
    texts = [text.partition("=")[::2] for text in args.text]
    results = {name: {} for name, _ in texts}
    layouts = {}
    for entrant, command in entrants:
        out = str(work / f"{Path(args.model).stem}-{entrant}-{kind}.gguf")
        quality.run(*command(out, kind))
        layouts[entrant] = quality.layout(args, out)
        for name, path in texts:
            settings = SimpleNamespace(**{**vars(args), "text": path})
            results[name][entrant] = quality.evaluate(settings, out, work / "results.jsonl")
        os.remove(out)
    if any(other != layouts[REFERENCE] for other in layouts.values()):
        sys.exit(f"{kind}: the contestants' tensors differ in type or size")
    return results, sum(size for _, _, size in layouts[REFERENCE])


def cells_of(rows, names):
    reference = rows[REFERENCE]["kl_mean"]["value"]
    beyond = names[names.index(REFERENCE) + 1:]
    return [
        *(f"{rows[n]['kl_mean']['value']:.6f} ± {rows[n]['kl_mean']['error']:.6f}" for n in names),
        *(f"**{rows[n]['kl_mean']['value'] / reference:.2f}**" for n in beyond),
        *(f"{rows[n]['perplexity']['value']:.3f}" for n in names),
        *(f"{100 * rows[n]['top1']['value']:.2f}" for n in names),
    ]


def main():
    args = parse_arguments()
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    wanted = args.only.split(",") if args.only else None
    entrants = [(n, c) for n, c in contestants(args, work)
                if wanted is None or n in wanted or n == REFERENCE]
    names = [name for name, _ in entrants]
    beyond = names[names.index(REFERENCE) + 1:]
    titles = ["type", "bytes", "text", *(f"KL {n}" for n in names),
              *(f"ratio {n}" for n in beyond), *(f"PPL {n}" for n in names),
              *(f"top-1 {n}" for n in names)]
    quality.print_row(titles)
    quality.print_row(["---"] * len(titles))
    for kind in args.types:
        results, n_bytes = measure(args, work, entrants, kind)
        for text, rows in results.items():
            quality.print_row([kind, str(n_bytes), text, *cells_of(rows, names)])


if __name__ == "__main__":
    main()
