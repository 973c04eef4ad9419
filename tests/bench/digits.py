#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `--digits` saves and costs, as a Markdown table.

    digits.py --model M --imatrix I --text T [--llama-imatrix FILE]... TYPE...

For every number of digits: the bytes of the imatrix as zst and their share of its gguf, and for
every type the share of the quantized model's bytes that are as without rounding, and the KL
divergence from the original. Files that llama-imatrix wrote from the same text are listed by size.
"""

import argparse
import os
from pathlib import Path

from quality import evaluate, run

DIGITS = ["", "6", "5", "4", "3", "2", "1"]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", default="build/bin/imatrix", help="imatrix [%(default)s]")
    parser.add_argument("--model", required=True)
    parser.add_argument("--imatrix", required=True, help="not rounded")
    parser.add_argument("--text", help="to evaluate on; required with types")
    parser.add_argument("--ctx-size", default="512")
    parser.add_argument("--chunks", help="evaluate at most so many")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--llama-imatrix", action="append", default=[], metavar="FILE")
    parser.add_argument("--work", default="out/digits", help="directory for files [%(default)s]")
    parser.add_argument("types", nargs="*", metavar="TYPE")
    return parser.parse_args()


def convert(args, digits, kind):
    """The imatrix rounded and in another format."""
    path = f"{args.work}/digits-{digits or 'all'}.{kind}"
    run(args.program, "convert", args.imatrix, "-o", path, "--output-format", kind,
        *(["--digits", digits] if digits else []))
    return path


def quantize(args, imatrix, kind):
    path = f"{imatrix}-{kind}.gguf"
    run(args.program, "quantize", "--imatrix", imatrix, "--hide-imatrix", "-t", args.threads,
        args.model, path, kind)
    return path


def same_share(path, reference):
    """The share of bytes, from the end of both files, that are equal; headers count too."""
    a, b = Path(path).read_bytes(), Path(reference).read_bytes()
    n = min(len(a), len(b))
    return sum(x == y for x, y in zip(a[-n:], b[-n:])) / n


def cells_of(args, imatrix, reference):
    """For every type: the share of equal bytes and the divergence."""
    for kind in args.types:
        path = quantize(args, imatrix, kind)
        row = evaluate(args, path, Path(args.work) / "results.jsonl")
        kl = row["kl_mean"]
        yield f"{100 * same_share(path, reference[kind]):.2f} %"
        yield f"{kl['value']:.6f} ± {kl['error']:.6f}"
        if path != reference[kind]:
            os.remove(path)


def print_row(cells):
    print("|", " | ".join(cells), "|", flush=True)


def main():
    args = parse_arguments()
    Path(args.work).mkdir(parents=True, exist_ok=True)
    titles = ["digits", "zst", "of gguf"]
    for kind in args.types:
        titles += [f"{kind}: bytes alike", f"{kind}: KL"]
    print_row(titles)
    print_row(["---"] * len(titles))
    gguf_bytes = os.path.getsize(convert(args, "", "gguf"))
    reference = {kind: f"{args.work}/digits-all.zst-{kind}.gguf" for kind in args.types}
    for digits in DIGITS:
        imatrix = convert(args, digits, "zst")
        size = os.path.getsize(imatrix)
        print_row([digits or "all", str(size), f"{100 * size / gguf_bytes:.0f} %",
                   *cells_of(args, imatrix, reference)])
    print(f"\ngguf: {gguf_bytes} bytes")
    for path in args.llama_imatrix:
        print(f"{path}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
