"""The ratios of latency as a picture: a bar for each model and count of threads, to the left of the line where we are ahead."""

import math
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 860, 300, 60, 70, 40
ROW, BAR = 26, 9
# What the axis shows, as ratios; its scale is logarithmic.
TICKS = (0.125, 0.25, 0.5, 1, 2, 4)
COLOURS = {1: "#2563eb", 2: "#d97706"}


def plot(rows, caption):
    """An SVG document."""
    names = list(dict.fromkeys(row["model"] for row in rows))
    names.sort(key=lambda name: max(row.get("ratio", 0) for row in rows if row["model"] == name))
    height = TOP + ROW * len(names) + BOTTOM
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
             text(16, 24, "Latency of Inferry / latency of the faster of onnxruntime and OpenVINO", size=15, weight="bold"),
             text(16, 44, caption, fill="#4b5563")]
    for tick in TICKS:
        x = place(tick)
        strong = tick == 1
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - BOTTOM + 4}" stroke="{"#111827" if strong else "#d1d5db"}"/>')
        parts.append(text(x, height - BOTTOM + 20, f"{tick:g}", anchor="middle"))
    for index, name in enumerate(names):
        middle = TOP + ROW * index + ROW / 2
        parts.append(text(LEFT - 10, middle + 4, name.split("/")[-1][:44], anchor="end"))
        for row in rows:
            if row["model"] == name and "ratio" in row:
                parts += bar(row, middle - BAR if row["threads"] == 1 else middle)
    for index, (threads, colour) in enumerate(COLOURS.items()):
        x = WIDTH - RIGHT - 200 + 100 * index
        parts.append(f'<rect x="{x}" y="{TOP - 34}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(x + 15, TOP - 25, f"{threads} thread{'s' if threads > 1 else ''}"))
    return "\n".join([*parts, "</svg>", ""])


def bar(row, y):
    one, end = place(1), place(row["ratio"])
    left, width = min(one, end), abs(end - one)
    beside = (end + 4, "start") if row["ratio"] >= 1 else (end - 4, "end")
    return [f'<rect x="{left:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{BAR}" fill="{COLOURS[row["threads"]]}"/>',
            text(beside[0], y + BAR - 1, f"{row['ratio']:.2f}", anchor=beside[1], size=9, fill="#374151")]


def place(ratio):
    """Where a ratio lies; what is beyond the axis lies at its end."""
    low, high = math.log(TICKS[0]), math.log(TICKS[-1])
    share = (math.log(ratio) - low) / (high - low)
    return LEFT + min(max(share, 0), 1) * (WIDTH - LEFT - RIGHT)


def text(x, y, words, anchor="start", size=12, fill="#111827", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}" font-weight="{weight}">'
            f"{escape(words)}</text>")
