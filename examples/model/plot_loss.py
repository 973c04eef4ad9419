# SPDX-License-Identifier: MIT
"""Draw loss.csv as a small SVG: training and held-out loss over tokens."""

import csv
import math

COLUMNS = ["step", "tokens", "minutes", "lr", "train_loss", "heldout_loss"]
CURVES = [("train_loss", "#9aa5b1", "training"), ("heldout_loss", "#c2410c", "held-out")]
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 20, 50
LOSS_STEP = 0.5  # nats between grid lines


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: float(row[name]) for name in COLUMNS} for row in csv.DictReader(file)]


def nice_step(span):
    """A step of 1, 2 or 5 times a power of ten that makes about five ticks."""
    power = 10 ** math.floor(math.log10(span / 5))
    return next(power * m for m in (1, 2, 5, 10) if power * m * 5.5 >= span)


class Frame:
    """Where losses and tokens (in millions) lie on the picture."""

    def __init__(self, rows):
        losses = [row[name] for row in rows for name, _, _ in CURVES]
        self.low = math.floor(min(losses) / LOSS_STEP) * LOSS_STEP
        self.high = math.ceil(max(losses) / LOSS_STEP) * LOSS_STEP
        self.millions = max(row["tokens"] for row in rows) / 1e6

    def x(self, millions):
        return LEFT + (WIDTH - LEFT - RIGHT) * millions / self.millions

    def y(self, loss):
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - loss) / (self.high - self.low)


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{words}</text>'


def line(x1, y1, x2, y2, color):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'


def grid(frame):
    parts = []
    for i in range(round((frame.high - frame.low) / LOSS_STEP) + 1):
        loss = frame.low + i * LOSS_STEP
        parts.append(line(LEFT, frame.y(loss), WIDTH - RIGHT, frame.y(loss), "#e5e7eb"))
        parts.append(text(LEFT - 8, frame.y(loss) + 4, f"{loss:.1f}", "end"))
    step = nice_step(frame.millions)
    for i in range(int(frame.millions / step) + 1):
        parts.append(text(frame.x(i * step), HEIGHT - BOTTOM + 18, f"{i * step:g}"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "training tokens (millions)"))
    parts.append(text(16, middle, "loss (nats per token)", "middle",
                      f' transform="rotate(-90 16 {middle:.1f})"'))
    return parts


def curve(frame, rows, name, color):
    points = " ".join(f"{frame.x(row['tokens'] / 1e6):.1f},{frame.y(row[name]):.1f}"
                      for row in rows)
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'


def legend():
    parts, x = [], WIDTH - RIGHT - 120
    for i, (_, color, label) in enumerate(CURVES):
        y = TOP + 16 + 20 * i
        parts.append(f'<rect x="{x}" y="{y - 5}" width="24" height="3" fill="{color}"/>')
        parts.append(text(x + 32, y, label, "start"))
    return parts


def plot(csv_path, svg_path):
    rows = read_rows(csv_path)
    frame = Frame(rows)
    curves = [curve(frame, rows, name, color) for name, color, _ in CURVES]
    body = "\n".join(grid(frame) + curves + legend())
    with open(svg_path, "w", encoding="utf-8", newline="\n") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
                   f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12" '
                   f'fill="#374151">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
                   f"{body}\n</svg>\n")
