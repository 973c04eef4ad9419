#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Copies a GGUF model and gives it the tokenizer of another, so that a synthetic one can be run.

    lend_tokenizer.py SYNTHETIC.gguf TRAINED.gguf OUT.gguf

Both have the same vocabulary size (make_model --vocab N). A GGUF header is a count of tensors, a
count of keys, the keys, the tensors; offsets count from the aligned end of the header, so keys can
be added while tensors and data are copied as they are.
"""

import shutil
import struct
import sys

ALIGNMENT = 32
STRING, ARRAY = 8, 9
FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def read_struct(file, layout):
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def read_string(file):
    return file.read(read_struct(file, "<Q")[0])


def skip_value(file, kind):
    if kind == STRING:
        read_string(file)
    elif kind == ARRAY:
        item_kind, n_items = read_struct(file, "<IQ")
        for _ in range(n_items):
            skip_value(file, item_kind)
    else:
        file.seek(FIXED_BYTES[kind], 1)


def skip_tensor(file):
    read_string(file)
    n_dims, = read_struct(file, "<I")
    file.seek(8 * n_dims + 4 + 8, 1)


def bytes_since(file, start):
    end = file.tell()
    file.seek(start)
    return file.read(end - start)


def read_keys(file):
    """The number of tensors, and name -> bytes of every key."""
    magic, version, n_tensors, n_keys = read_struct(file, "<4sIQQ")
    if magic != b"GGUF" or version != 3:
        sys.exit(f"{file.name}: not GGUF version 3")
    keys = {}
    for _ in range(n_keys):
        start = file.tell()
        name = read_string(file)
        skip_value(file, *read_struct(file, "<I"))
        keys[name] = bytes_since(file, start)
    return n_tensors, keys


def copy_with_keys(source, lent, target):
    """Copies a model with further keys: name -> bytes, as read_keys gives them."""
    with open(source, "rb") as model, open(target, "wb") as out:
        n_tensors, keys = read_keys(model)
        keys.update(lent)
        start = model.tell()
        for _ in range(n_tensors):
            skip_tensor(model)
        header = struct.pack("<4sIQQ", b"GGUF", 3, n_tensors, len(keys))
        header += b"".join(keys.values()) + bytes_since(model, start)
        out.write(header + bytes(-len(header) % ALIGNMENT))
        model.seek(-model.tell() % ALIGNMENT, 1)
        shutil.copyfileobj(model, out)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    with open(sys.argv[2], "rb") as trained:
        _, keys = read_keys(trained)
    lent = {name: key for name, key in keys.items() if name.startswith(b"tokenizer.")}
    copy_with_keys(sys.argv[1], lent, sys.argv[3])


if __name__ == "__main__":
    main()
