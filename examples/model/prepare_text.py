#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Collect, clean and split the text that the example model is trained on.

The text is the documentation in a few Debian 12 packages. Download them into a folder first
(no root needed, nothing is installed), then run this script; `mandoc` formats the man pages:

    mkdir debs && (cd debs && apt-get download $(../prepare_text.py --list-packages))
    ./prepare_text.py --packages debs --out text

It writes train.jsonl, heldout.jsonl and calibration.jsonl into the output folder (one document
per line: package, path, text) and sources.json (package versions, documents and bytes). With
--examples DIR it also writes the calibration.txt and heldout.txt that this repository ships.

Documents are split by a hash of their path, so the split does not depend on the order in which
they are read. A document that occurs twice and a long paragraph that occurs twice are kept once,
in the part that met it first, so no long paragraph of the held-out text is in the training text.
"""

import argparse
import glob
import gzip
import hashlib
import html.parser
import json
import os
import re
import subprocess
import tempfile
import textwrap

HELDOUT_SHARE = 0.03
# The manual that the shipped texts are cut from has more of it set aside.
EXAMPLE_PACKAGE = "postgresql-doc-15"
EXAMPLE_HELDOUT_SHARE = 0.06
EXAMPLE_CALIBRATION_SHARE = 0.08
EXAMPLE_MAX_DOCUMENT = 40_000  # characters; longer documents (lists, release notes) are trained on
CALIBRATION_BYTES = 250_000
HELDOUT_BYTES = 200_000

MIN_DOCUMENT = 400  # characters
MIN_LETTERS = 0.70  # share of letters and white space: below it is a table or a dump
MAX_NON_ASCII = 0.03
REPEATED_PARAGRAPH = 80  # a paragraph at least this long is kept once
TEXT_WIDTH = 79

TYPOGRAPHY = str.maketrans({
    "\u00a0": " ", "\u00ad": None, "\u200b": None, "\ufeff": None, "\u00b6": None,
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2010": "-", "\u2011": "-",
    "\u2012": "-", "\u2013": "-", "\u2014": "--", "\u2022": "*", "\u2026": "...", "\u2212": "-",
})


def read_bytes(path):
    """The bytes of a file, unpacked if its name ends in .gz."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as file:
        return file.read()


def read_plain(path):
    return read_bytes(path).decode("utf-8", "replace")


def read_man(path):
    """A man page as plain text, without its page header, footer and overstriking."""
    source = read_bytes(path)
    if source.startswith(b".so "):
        return ""
    done = subprocess.run(["mandoc", "-T", "ascii", "-O", f"width={TEXT_WIDTH - 1}"],
                          input=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = re.sub(".\b", "", done.stdout.decode("ascii", "replace")).strip("\n").split("\n")
    return "\n".join(lines[1:-1])


class HtmlText(html.parser.HTMLParser):
    """Turns a manual's HTML page into wrapped paragraphs; <pre> keeps its lines."""

    BLOCKS = {"p", "div", "li", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table",
              "tr", "ul", "ol", "dl", "section", "blockquote", "title", "br"}
    VOID = {"br", "hr", "img", "input", "link", "meta", "col", "wbr"}
    SKIPPED_TAGS = {"head", "script", "style", "nav", "header", "footer", "form"}
    SKIPPED_CLASSES = {"navheader", "navfooter", "toc", "related", "sphinxsidebar", "footer",
                       "top", "bottomlang", "toplang", "path", "up", "headerlink", "indexterm"}

    def __init__(self):
        super().__init__()
        self.paragraphs, self.pending = [], []
        self.skip_tag, self.skip_depth, self.pre_depth = None, 0, 0
        self.bullet = False

    def handle_starttag(self, tag, attrs):
        if self.skip_tag:
            self.skip_depth += tag == self.skip_tag
            return
        values = dict(attrs)
        names = set(f"{values.get('class') or ''} {values.get('id') or ''}".lower().split())
        if tag in self.SKIPPED_TAGS or (names & self.SKIPPED_CLASSES and tag not in self.VOID):
            self.skip_tag, self.skip_depth = tag, 1
            return
        if tag in self.BLOCKS:
            self.flush()
        self.pre_depth += tag == "pre"
        self.bullet = self.bullet or tag == "li"
        if tag in ("td", "th"):
            self.pending.append("  ")

    def handle_endtag(self, tag):
        if self.skip_tag:
            self.skip_depth -= tag == self.skip_tag
            if self.skip_depth == 0:
                self.skip_tag = None
            return
        if tag in self.BLOCKS:
            self.flush()
        self.pre_depth -= tag == "pre" and self.pre_depth > 0

    def handle_data(self, data):
        if not self.skip_tag:
            self.pending.append(data)

    def flush(self):
        text = "".join(self.pending)
        self.pending = []
        if not text.strip():
            return
        if self.pre_depth:
            self.paragraphs.append(textwrap.indent(textwrap.dedent(text.strip("\n")), "    "))
            return
        lead = "* " if self.bullet else ""
        self.bullet = False
        self.paragraphs.append(textwrap.fill(
            " ".join(text.split()), TEXT_WIDTH, initial_indent=lead,
            subsequent_indent=" " * len(lead), break_long_words=False, break_on_hyphens=False))


def read_html(path):
    parser = HtmlText()
    parser.feed(read_plain(path))
    parser.close()
    parser.flush()
    return "\n\n".join(parser.paragraphs)


MAN = "usr/share/man/man[1-9]/*.gz"
DOC = "usr/share/doc/"

# package, files in it, reader
SOURCES = [
    (EXAMPLE_PACKAGE, DOC + "**/*.html", read_html),
    ("linux-doc-6.1", DOC + "**/_sources/**/*.rst.txt", read_plain),
    ("manpages", MAN, read_man),
    ("manpages-dev", MAN, read_man),
    ("coreutils", MAN, read_man),
    ("systemd", MAN, read_man),
    ("git-doc", DOC + "**/*.txt", read_plain),
    ("python3.11-doc", DOC + "**/_sources/**/*.txt", read_plain),
    ("perl-doc", "usr/share/perl/**/*.pod", read_plain),
    ("debian-policy", DOC + "**/*.rst.txt", read_plain),
    ("developers-reference", DOC + "**/*.rst.txt", read_plain),
    ("apache2-doc", DOC + "**/manual/en/**/*.html", read_html),
    ("bind9-doc", DOC + "**/*.html", read_html),
    ("cmake-doc", DOC + "**/_sources/**/*.txt", read_plain),
    ("vim-runtime", "usr/share/vim/vim*/doc/*.txt", read_plain),
    ("debian-handbook", DOC + "**/en-US/*.html", read_html),
    ("debian-reference-en", DOC + "**/*.en.html", read_html),
    ("installation-guide-amd64", DOC + "**/en/*.html", read_html),
    ("jargon-text", DOC + "**/*.txt.gz", read_plain),
]
SKIPPED_PATHS = re.compile(r"/translations/|genindex|bookindex|/search\.html|py-modindex")


def clean(text):
    """Plain text with spaces for tabs, no control characters and at most one empty line."""
    text = text.replace("\r\n", "\n").translate(TYPOGRAPHY).expandtabs(8)
    text = re.sub(r"[\x00-\x09\x0b-\x1f\x7f\ufffd]", "", text)
    text = re.sub(r"[ ]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def looks_like_english(text):
    if len(text) < MIN_DOCUMENT:
        return False
    letters = sum(c.isalpha() or c.isspace() for c in text)
    non_ascii = sum(c > "\x7f" for c in text)
    return letters >= MIN_LETTERS * len(text) and non_ascii <= MAX_NON_ASCII * len(text)


def drop_repeats(text, seen):
    """The text without long paragraphs that are in `seen`, to which the others are added.

    Empty if that drops more than half of it: then it is another edition of a known document."""
    kept = []
    for paragraph in text.split("\n\n"):
        if len(paragraph) >= REPEATED_PARAGRAPH:
            key = hashlib.md5(" ".join(paragraph.split()).encode()).digest()
            if key in seen:
                continue
            seen.add(key)
        kept.append(paragraph)
    result = "\n\n".join(kept).strip()
    return result if 2 * len(result) > len(text) else ""


def hash_fraction(name):
    """A number in [0, 1) that depends on the name only."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def part_of(package, path, text):
    """Which part a document belongs to: train, heldout or calibration."""
    fraction = hash_fraction(path)
    if package != EXAMPLE_PACKAGE:
        return "heldout" if fraction < HELDOUT_SHARE else "train"
    if len(text) > EXAMPLE_MAX_DOCUMENT:
        return "train"
    if fraction < EXAMPLE_HELDOUT_SHARE:
        return "heldout"
    shared = EXAMPLE_HELDOUT_SHARE + EXAMPLE_CALIBRATION_SHARE
    return "calibration" if fraction < shared else "train"


def find_package(folder, package):
    """The path and version of a downloaded package, NAME_VERSION_ARCHITECTURE.deb."""
    found = glob.glob(os.path.join(folder, package + "_*.deb"))
    if len(found) != 1:
        raise SystemExit(f"{folder}: want one {package}_*.deb, found {len(found)}")
    return found[0], os.path.basename(found[0]).split("_")[1].replace("%3a", ":")


def read_package(archive, pattern, reader):
    """Yields (path in the package, clean text) in the order of the paths."""
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
        for file in sorted(glob.glob(os.path.join(root, pattern), recursive=True)):
            path = os.path.relpath(file, root)
            if os.path.isfile(file) and not SKIPPED_PATHS.search("/" + path):
                yield path, clean(reader(file))


def collect(folder):
    """All documents as {part: [document]} and a summary of each package."""
    parts = {"train": [], "heldout": [], "calibration": []}
    seen, summary = set(), []
    for package, pattern, reader in SOURCES:
        archive, version = find_package(folder, package)
        row = {"package": package, "version": version, "documents": 0, "bytes": 0}
        for path, text in read_package(archive, pattern, reader):
            text = drop_repeats(text, seen) if looks_like_english(text) else ""
            if len(text) < MIN_DOCUMENT:
                continue
            parts[part_of(package, path, text)].append(
                {"package": package, "path": path, "text": text})
            row["documents"] += 1
            row["bytes"] += len(text.encode())
        print("{package} {version}: {documents} documents, {bytes} bytes".format(**row),
              flush=True)
        summary.append(row)
    return parts, summary


def cut_example(documents, limit):
    """Whole documents of the example manual, in the order of their hashes, up to `limit` bytes."""
    text = ""
    chosen = [d for d in documents if d["package"] == EXAMPLE_PACKAGE]
    for document in sorted(chosen, key=lambda d: hash_fraction("cut " + d["path"])):
        piece = document["text"] + "\n\n"
        if len((text + piece).encode()) <= limit:
            text += piece
    return text


def write_text(path, text):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--list-packages", action="store_true", help="print the packages needed")
    parser.add_argument("--packages", metavar="DIR", help="folder with the downloaded packages")
    parser.add_argument("--out", metavar="DIR", default="text", help="output folder")
    parser.add_argument("--examples", metavar="DIR", help="also write the two shipped texts here")
    options = parser.parse_args()
    if options.list_packages:
        print("\n".join(package for package, _, _ in SOURCES))
        return
    if not options.packages:
        parser.error("--packages is needed")

    parts, summary = collect(options.packages)
    os.makedirs(options.out, exist_ok=True)
    for name, documents in parts.items():
        lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in documents]
        write_text(os.path.join(options.out, name + ".jsonl"), "".join(lines))
        print(f"{name}: {len(documents)} documents, "
              f"{sum(len(d['text'].encode()) for d in documents)} bytes")
    write_text(os.path.join(options.out, "sources.json"), json.dumps(summary, indent=1) + "\n")
    if options.examples:
        write_text(os.path.join(options.examples, "calibration.txt"),
                   cut_example(parts["calibration"], CALIBRATION_BYTES))
        write_text(os.path.join(options.examples, "heldout.txt"),
                   cut_example(parts["heldout"], HELDOUT_BYTES))


if __name__ == "__main__":
    main()
