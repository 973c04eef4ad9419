#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train the small Llama model of this folder on the text of prepare_text.py.

    ./train.py tokenize --text text --run run            # tokenizer and token files
    ./train.py train --run run --minutes 90 --seed 1     # writes run/checkpoint.pt, run/loss.csv
    ./train.py evaluate --run run --text text            # held-out figures for the README
    ./train.py export --run run --out manuals-5M-f16.gguf
    ./train.py plot --csv run/loss.csv --out loss.svg

`train` picks up run/checkpoint.pt when there is one. It needs PyTorch and SentencePiece (Debian:
python3-torch libopenblas0-openmp python3-sentencepiece). The learning rate follows the clock:
warm-up, a constant stretch, and a decay to zero over the last part of --minutes.
"""

import argparse
import csv
import json
import math
import os
import time

import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F

import export_gguf
import plot_loss

VOCAB, WIDTH, FFN, LAYERS, HEADS, KV_HEADS, CONTEXT = 4096, 256, 768, 5, 4, 2, 512
HEAD_DIM = WIDTH // HEADS
NORM_EPS, ROPE_BASE = 1e-5, 10000.0
SHAPE = {"vocab": VOCAB, "width": WIDTH, "ffn": FFN, "layers": LAYERS, "heads": HEADS,
         "kv_heads": KV_HEADS, "head_dim": HEAD_DIM, "context": CONTEXT, "norm_eps": NORM_EPS,
         "rope_base": ROPE_BASE}
BOS, EOS = 1, 2

PEAK_RATE, WARMUP_STEPS, DECAY_SHARE = 3e-3, 150, 0.3
QUERY_BLOCK = 128  # attention skips the keys after each block of queries
EVALUATION_SEQUENCES = 96
TOKENIZER_BYTES = 12_000_000


# ---- text ------------------------------------------------------------------------------------

def read_documents(folder, part):
    with open(os.path.join(folder, part + ".jsonl"), encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def train_tokenizer(documents, prefix):
    """SentencePiece BPE with byte fallback; a newline is a byte, runs of spaces are pieces."""
    share = TOKENIZER_BYTES / sum(len(text) for text in documents)
    step = max(1, round(1 / share))
    lines = (line for text in documents[::step] for line in text.split("\n") if line)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_prefix=prefix, model_type="bpe", vocab_size=VOCAB,
        byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=True,
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True,
        character_coverage=0.9995, unk_id=0, bos_id=BOS, eos_id=EOS, pad_id=-1,
        num_threads=os.cpu_count(), minloglevel=1)


def load_tokenizer(run):
    return sentencepiece.SentencePieceProcessor(
        model_file=os.path.join(run, "tokenizer.model"))


def tokenize(options):
    os.makedirs(options.run, exist_ok=True)
    documents = read_documents(options.text, "train")
    train_tokenizer(documents, os.path.join(options.run, "tokenizer"))
    tokenizer = load_tokenizer(options.run)
    for part, texts in (("train", documents), ("heldout", read_documents(options.text, "heldout"))):
        ids = [np.array(tokenizer.encode(text) + [EOS], dtype=np.uint16) for text in texts]
        np.random.default_rng(0).shuffle(ids)
        tokens = np.concatenate(ids)
        np.save(os.path.join(options.run, part + ".npy"), tokens)
        print(f"{part}: {len(tokens)} tokens")


class Batches:
    """Endless shuffled sequences of BOS + CONTEXT - 1 tokens, with targets; epochs differ in phase.

    Sequence k is a pure function of the seed and k, so that a resumed run goes on where it was."""

    def __init__(self, tokens, seed):
        self.tokens, self.seed = tokens, seed
        self.per_epoch = len(tokens) // CONTEXT - 1
        self.epoch, self.order, self.phase = -1, None, 0

    def start_epoch(self, epoch):
        random = np.random.default_rng([self.seed, epoch])
        self.epoch, self.phase = epoch, int(random.integers(CONTEXT))
        self.order = random.permutation(self.per_epoch)

    def sequence(self, index):
        epoch, position = divmod(index, self.per_epoch)
        if epoch != self.epoch:
            self.start_epoch(epoch)
        return with_bos(self.tokens, self.phase + int(self.order[position]) * CONTEXT)

    def batch(self, first, count):
        pairs = np.stack([self.sequence(first + i) for i in range(count)])
        return torch.from_numpy(pairs[:, :-1]), torch.from_numpy(pairs[:, 1:])


def with_bos(tokens, start):
    """BOS and CONTEXT tokens: inputs are all but the last, targets all but BOS."""
    return np.concatenate(([BOS], tokens[start:start + CONTEXT].astype(np.int64)))


# ---- model -----------------------------------------------------------------------------------

class RmsNorm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS) * self.weight


def rope_table():
    """cos + i sin of position * base^(-2 i / head dim), [CONTEXT, 1, HEAD_DIM / 2]."""
    frequency = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)
    angle = torch.outer(torch.arange(CONTEXT).float(), frequency)
    return torch.polar(torch.ones_like(angle), angle).unsqueeze(1)


def rotate(x, table):
    """RoPE on the pairs (2 i, 2 i + 1), which is the order of llama.cpp's llama architecture."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2)


def attend(q, k, v, mask):
    """Causal attention, [batch, heads, CONTEXT, HEAD_DIM] each, block of queries by block."""
    blocks = []
    for start in range(0, CONTEXT, QUERY_BLOCK):
        end = start + QUERY_BLOCK
        scores = q[:, :, start:end] @ k[:, :, :end].transpose(-1, -2)
        blocks.append(torch.softmax(scores + mask[start:end, :end], -1) @ v[:, :, :end])
    return torch.cat(blocks, 2)


class Layer(torch.nn.Module):
    """One Llama block; q, k, v and gate, up are one product each."""

    def __init__(self):
        super().__init__()
        self.attn_norm, self.ffn_norm = RmsNorm(), RmsNorm()
        self.qkv = torch.nn.Linear(WIDTH, (HEADS + 2 * KV_HEADS) * HEAD_DIM, bias=False)
        self.attn_output = torch.nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate_up = torch.nn.Linear(WIDTH, 2 * FFN, bias=False)
        self.ffn_down = torch.nn.Linear(FFN, WIDTH, bias=False)

    def attention(self, x, table, mask):
        heads = self.qkv(x).unflatten(-1, (-1, HEAD_DIM))
        q, k = rotate(heads[:, :, :HEADS + KV_HEADS], table).split([HEADS, KV_HEADS], 2)
        v = heads[:, :, HEADS + KV_HEADS:]
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, 2) for t in (k, v))
        q, k, v = (t.transpose(1, 2) for t in (q * HEAD_DIM ** -0.5, k, v))
        return self.attn_output(attend(q, k, v, mask).transpose(1, 2).flatten(-2))

    def forward(self, x, table, mask):
        x = x + self.attention(self.attn_norm(x), table, mask)
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, -1)
        return x + self.ffn_down(F.silu(gate) * up)


class Llama(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embd = torch.nn.Embedding(VOCAB, WIDTH)
        self.blk = torch.nn.ModuleList(Layer() for _ in range(LAYERS))
        self.output_norm = RmsNorm()
        self.register_buffer("table", rope_table(), persistent=False)
        future = torch.full((CONTEXT, CONTEXT), -math.inf).triu(1)
        self.register_buffer("mask", future, persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                into_residual = name.endswith(("attn_output.weight", "ffn_down.weight"))
                scale = (2 * LAYERS) ** -0.5 if into_residual else 1.0
                torch.nn.init.normal_(weight, std=0.02 * scale)

    def forward(self, tokens):
        x = self.token_embd(tokens)
        for layer in self.blk:
            x = layer(x, self.table, self.mask)
        return self.output_norm(x) @ self.token_embd.weight.t()

    def loss(self, inputs, targets):
        logits = self(inputs)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


# ---- training --------------------------------------------------------------------------------

def learning_rate(step, elapsed_share):
    """Warm-up by steps, then constant, then 1 - sqrt to zero by the clock."""
    decay = max(0.0, (elapsed_share - 1 + DECAY_SHARE) / DECAY_SHARE)
    return PEAK_RATE * min(1.0, (step + 1) / WARMUP_STEPS) * (1 - math.sqrt(min(1.0, decay)))


def make_optimizer(model):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95), eps=1e-8)


def heldout_loss(model, tokens, count):
    """Mean loss over `count` sequences spread evenly over the tokens."""
    starts = np.linspace(0, len(tokens) - CONTEXT, count).astype(int)
    total = 0.0
    with torch.no_grad():
        for start in starts:
            pair = torch.from_numpy(with_bos(tokens, start)).unsqueeze(0)
            total += model.loss(pair[:, :-1], pair[:, 1:]).item()
    return total / count


class Run:
    """The state of a training run: what a checkpoint holds."""

    def __init__(self, folder, seed):
        torch.manual_seed(seed)
        self.folder, self.path = folder, os.path.join(folder, "checkpoint.pt")
        self.model = Llama()
        self.optimizer = make_optimizer(self.model)
        self.step, self.sequences, self.seconds = 0, 0, 0.0
        if os.path.exists(self.path):
            self.load()

    def load(self):
        state = torch.load(self.path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.sequences, self.seconds = state["progress"]

    def save(self):
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                    "progress": (self.step, self.sequences, self.seconds)}, self.path + ".new")
        os.replace(self.path + ".new", self.path)

    def take_step(self, inputs, targets, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.model.loss(inputs, targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.sequences += len(inputs)
        return loss.item()

    def log(self, rate, train_loss, heldout):
        """Adds the current state to loss.csv and to the output."""
        path = os.path.join(self.folder, "loss.csv")
        is_new = not os.path.exists(path)
        row = [self.step, self.sequences * CONTEXT, f"{self.seconds / 60:.2f}", f"{rate:.3g}",
               f"{train_loss:.4f}", f"{heldout:.4f}"]
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(plot_loss.COLUMNS)
            writer.writerow(row)
        print(*row, flush=True)


def train(options):
    torch.set_num_threads(options.threads)
    run = Run(options.run, options.seed)
    batches = Batches(np.load(os.path.join(options.run, "train.npy")), options.seed)
    heldout = np.load(os.path.join(options.run, "heldout.npy"))
    started = time.monotonic() - run.seconds
    limit, losses, logged = 60 * options.minutes, [], run.seconds
    while run.seconds < limit:
        rate = learning_rate(run.step, run.seconds / limit)
        losses.append(run.take_step(*batches.batch(run.sequences, options.batch), rate))
        run.seconds = time.monotonic() - started
        if run.seconds - logged > 60 * options.log_minutes or run.seconds >= limit:
            run.log(rate, np.mean(losses), heldout_loss(run.model, heldout, EVALUATION_SEQUENCES))
            run.save()
            losses, logged = [], run.seconds


# ---- results ---------------------------------------------------------------------------------

def load_model(run):
    model = Llama()
    model.load_state_dict(torch.load(os.path.join(run, "checkpoint.pt"))["model"])
    return model


def unigram_loss(train_tokens, tokens):
    """The loss of predicting each token by its (add-one) frequency in the training tokens."""
    counts = np.bincount(train_tokens, minlength=VOCAB) + 1.0
    return -np.log(counts / counts.sum())[tokens].mean()


def evaluate(options):
    torch.set_num_threads(options.threads)
    train_tokens = np.load(os.path.join(options.run, "train.npy"))
    tokens = np.load(os.path.join(options.run, "heldout.npy"))
    n_bytes = sum(len(text.encode()) for text in read_documents(options.text, "heldout"))
    loss = heldout_loss(load_model(options.run), tokens, len(tokens) // CONTEXT)
    unigram = unigram_loss(train_tokens, tokens)
    print(f"training tokens in the text: {len(train_tokens)}")
    print(f"held-out: {len(tokens)} tokens, {n_bytes} bytes")
    print(f"perplexity {math.exp(loss):.2f}, unigram perplexity {math.exp(unigram):.1f}")
    print(f"bits per byte {loss / math.log(2) * len(tokens) / n_bytes:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["tokenize", "train", "evaluate", "export", "plot"])
    parser.add_argument("--text", default="text", help="folder that prepare_text.py wrote")
    parser.add_argument("--run", default="run", help="folder of the training run")
    parser.add_argument("--minutes", type=float, default=90, help="length of the training")
    parser.add_argument("--batch", type=int, default=8, help="sequences in a step")
    parser.add_argument("--log-minutes", type=float, default=2, help="between evaluations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", default="loss.csv", help="the curve to plot")
    parser.add_argument("--out", help="the file to write")
    options = parser.parse_args()
    commands = {"tokenize": tokenize, "train": train, "evaluate": evaluate}
    if options.command in commands:
        commands[options.command](options)
    elif not options.out:
        parser.error("--out is needed")
    elif options.command == "export":
        model, tokenizer = load_model(options.run), load_tokenizer(options.run)
        export_gguf.export(model, tokenizer, SHAPE, options.out)
    else:
        plot_loss.plot(options.csv, options.out)


if __name__ == "__main__":
    main()
