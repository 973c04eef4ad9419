#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Loss by quantization type, ours beside llama-quantize's, as a Markdown table.

Every type is quantized by each contestant from the same model and imatrix; the files must hold the
same tensors at the same types, hence bytes. `imatrix eval` then measures the KL divergence from the
original, and the perplexity, on a text that the calibration has not seen.

    quality.py --model M --text T [--imatrix I] [--llama-quantize PROGRAM] TYPE...
    quality.py --model M --text T [--imatrix I] --variant plain="--weighting plain" \\
               --variant sqrt="--weighting sqrt" TYPE...

All contestants are compared with the last one: with llama-quantize where its program is given. The
difference is counted in standard errors, those of the two divergences taken together as if they
were independent. They are not (the positions are the same), so the true number is larger.

What has been evaluated is kept in the work directory, by the hash of the quantized file: a run that
was interrupted goes on, and what has not changed is not evaluated again.
"""

import argparse
import hashlib
import json
import math
import os
import shlex
import subprocess
import sys
from pathlib import Path

N_SIGNIFICANT = 2.0  # standard errors


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", default="build/bin/imatrix", help="imatrix [%(default)s]")
    parser.add_argument("--llama-quantize", help="llama.cpp's program, to compare with")
    parser.add_argument("--model", required=True)
    parser.add_argument("--imatrix", help="of any format; none = quantize without")
    parser.add_argument("--text", required=True)
    parser.add_argument("--ctx-size", default="512")
    parser.add_argument("--chunks", help="evaluate at most so many")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=OPTIONS",
                        help="options of `imatrix quantize`; repeatable [ours=]")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--work", default="out/quality", help="directory for files [%(default)s]")
    parser.add_argument("types", nargs="+", metavar="TYPE")
    return parser.parse_args()


def run(*command):
    """The standard output of a command; what it says elsewhere appears only when it fails."""
    # Threads that wait should sleep, not spin: on a busy machine that is several times faster.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{shlex.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def imatrix_as_gguf(args, work):
    """llama-quantize reads the GGUF inside our zstd frame."""
    with open(args.imatrix, "rb") as file:
        is_zstd = file.read(4) == b"\x28\xb5\x2f\xfd"
    if not is_zstd:
        return args.imatrix
    plain = str(work / (Path(args.imatrix).name + ".gguf"))
    run("zstd", "-dqf", args.imatrix, "-o", plain)
    return plain


def contestants(args, work):
    """Pairs of a name and a function that returns the command for an output file and a type."""
    ours = ["--imatrix", args.imatrix] if args.imatrix else []

    def variant(options):
        return lambda out, kind: [args.program, "quantize", *ours, *shlex.split(options),
                                  "-t", args.threads, args.model, out, kind]

    for text in args.variant or ["ours="]:
        name, _, options = text.partition("=")
        yield name, variant(options)
    if args.llama_quantize:
        theirs = ["--imatrix", imatrix_as_gguf(args, work)] if args.imatrix else []
        yield "llama.cpp", lambda out, kind: [args.llama_quantize, *theirs, args.model, out, kind,
                                              args.threads]


def layout(args, model):
    """The name, type and size of every tensor of a model."""
    plan = json.loads(run(args.program, "quantize", "--dry-run", "--json", model, "COPY"))
    return sorted((t["name"], t["type"], t["size_bytes"]) for t in plan["tensors"])


def evaluate(args, model, results):
    """What `imatrix eval` says of a file; remembered by its content."""
    command = ["-c", args.ctx_size, *(["--chunks", args.chunks] if args.chunks else [])]
    content = hashlib.sha256(Path(model).read_bytes()).hexdigest()
    key = f"{content} {Path(args.text).name} {' '.join(command)}"
    if results.exists():
        for line in results.read_text().splitlines():
            row = json.loads(line)
            if row["key"] == key:
                return row
    row = json.loads(run(args.program, "eval", "-m", model, "--base", args.model, "-f", args.text,
                         "-t", args.threads, "--json", *command))
    row["key"] = key
    with open(results, "a") as file:
        file.write(json.dumps(row) + "\n")
    return row


def compare(row, reference):
    """The change of the KL divergence in per cent and in standard errors."""
    ours, theirs = row["kl_mean"], reference["kl_mean"]
    difference = ours["value"] - theirs["value"]
    if difference == 0.0:
        return "same", 0.0
    error = math.hypot(ours["error"], theirs["error"])
    n_errors = difference / error if error > 0.0 else math.copysign(math.inf, difference)
    return f"{100 * difference / theirs['value']:+.1f} % ({n_errors:+.1f} s.e.)", n_errors


def verdict(n_errors):
    if abs(n_errors) <= N_SIGNIFICANT:
        return "even"
    return "better" if n_errors < 0 else "**worse**"


def cells_of(rows):
    """Columns of one type: divergences, differences from the last contestant, perplexities."""
    *others, reference = rows
    compared = [compare(row, reference) for row in others]
    return [
        *(f"{r['kl_mean']['value']:.6f} ± {r['kl_mean']['error']:.6f}" for r in rows),
        *(text for text, _ in compared),
        *(f"{r['perplexity']['value']:.3f}" for r in rows),
        *(verdict(n_errors) for _, n_errors in compared),
    ]


def heading(names):
    *others, _ = names
    suffixes = [""] if len(others) == 1 else [f" {name}" for name in others]
    return [
        "type", "bytes",
        *(f"KL {name}" for name in names),
        *(f"difference{suffix}" for suffix in suffixes),
        *(f"PPL {name}" for name in names),
        *(f"verdict{suffix}" for suffix in suffixes),
    ]


def print_row(cells):
    print("|", " | ".join(cells), "|", flush=True)


def main():
    args = parse_arguments()
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    entrants = list(contestants(args, work))
    titles = heading([name for name, _ in entrants])
    print_row(titles)
    print_row(["---"] * len(titles))
    for kind in args.types:
        rows, layouts = [], []
        for name, command in entrants:
            out = str(work / f"{name}-{kind}.gguf")
            run(*command(out, kind))
            layouts.append(layout(args, out))
            rows.append(evaluate(args, out, work / "results.jsonl"))
            os.remove(out)
        if any(other != layouts[0] for other in layouts):
            sys.exit(f"{kind}: the contestants' tensors differ in type or size")
        n_bytes = sum(size for _, _, size in layouts[0])
        print_row([kind, str(n_bytes), *cells_of(rows)])


if __name__ == "__main__":
    main()
