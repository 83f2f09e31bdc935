"""Writes `pictures.json`, what `image.test.mjs` expects: `python pictures.py` (needs numpy and Pillow).

Every step is done here once more, in numpy and Pillow alone, on one picture of 9 x 5 pixels. Where Pillow has the same filter
(making larger), the bilinear resizing of this file is held against it.
"""

import json

import numpy as np
from PIL import Image

H, W = 5, 9
y, x, c = np.mgrid[0:H, 0:W, 0:3]
picture = ((x * 37 + y * 91 + c * 53 + x * y * 7) % 256).astype(np.uint8)


def bilinear(image, width, height):
    """Half-pixel centres, edges repeated, rounded half up to bytes."""
    def taps(size, wanted):
        at = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, size - 1), at - low
    top, bottom, down = taps(image.shape[0], height)
    left, right, across = taps(image.shape[1], width)
    image = image.astype(np.float64)
    columns = image[:, left] + (image[:, right] - image[:, left]) * across[None, :, None]
    out = columns[top] + (columns[bottom] - columns[top]) * down[:, None, None]
    return np.floor(out + 0.5).astype(np.uint8)


larger = np.asarray(Image.fromarray(picture).resize((27, 20), Image.BILINEAR))
assert np.abs(bilinear(picture, 27, 20).astype(int) - larger).max() <= 1, "this is not what Pillow calls bilinear"


def gray(image):
    return np.asarray(Image.fromarray(image).convert("L"))


def scaled(image, mean, scale):
    return (image.astype(np.float64) - mean) / scale


def contain(image, width, height, pad, start=False):
    scale = min(width / image.shape[1], height / image.shape[0])
    w, h = round(image.shape[1] * scale), round(image.shape[0] * scale)
    left, top = (0, 0) if start else ((width - w) // 2, (height - h) // 2)
    out = np.empty((height, width, 3), np.uint8)
    out[:] = pad
    out[top:top + h, left:left + w] = bilinear(image, w, h)
    return out


beyond = np.empty((4, 6, 3), np.uint8)
beyond[:] = [9, 8, 7]
beyond[:3, 2:] = picture[2:5, :4]

cases = [
    {"name": "as it is", "options": {}, "expected": picture},
    {"name": "a part", "options": {"crop": {"x": 2, "y": 1, "width": 6, "height": 3}}, "expected": picture[1:4, 2:8]},
    {"name": "smaller", "options": {"width": 6, "height": 3}, "expected": bilinear(picture, 6, 3)},
    {"name": "larger", "options": {"width": 27, "height": 20}, "expected": bilinear(picture, 27, 20)},
    {"name": "a part, larger", "options": {"crop": {"x": 1, "y": 2, "width": 4, "height": 3}, "width": 8, "height": 9},
     "expected": bilinear(picture[2:5, 1:5], 8, 9)},
    {"name": "within", "options": {"width": 12, "height": 12, "resize": "contain", "pad": 114}, "expected": contain(picture, 12, 12, 114)},
    {"name": "within, at the start", "options": {"width": 12, "height": 12, "resize": "contain", "pad": [1, 2, 3], "align": "start"},
     "expected": contain(picture, 12, 12, [1, 2, 3], True)},
    {"name": "filling", "options": {"width": 5, "height": 5, "resize": "cover"}, "expected": picture[:, 2:7]},
    {"name": "beyond the edge", "options": {"crop": {"x": -2, "y": 2, "width": 6, "height": 4}, "pad": [9, 8, 7]}, "expected": beyond},
    {"name": "blue first", "options": {"channels": "BGR"}, "expected": picture[..., ::-1]},
    {"name": "scaled", "options": {"mean": [123.675, 116.28, 103.53], "scale": [58.395, 57.12, 57.375]},
     "expected": scaled(picture, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375])},
    {"name": "scaled, blue first", "options": {"channels": "BGR", "mean": [1, 2, 3], "scale": 255},
     "expected": scaled(picture[..., ::-1], [1, 2, 3], 255)},
]

small = picture[:4, :6]
rows = {"options": {"mean": 127.5, "scale": 127.5}, "expected": scaled(small, 127.5, 127.5).astype(np.float16).view(np.uint16)}
luma = {"options": {}, "expected": gray(np.ascontiguousarray(small))}

for case in [*cases, rows, luma]:
    case["dims"] = list(case["expected"].shape)
    case["expected"] = [round(float(value), 6) for value in case["expected"].ravel()]

with open("pictures.json", "w") as file:
    entries = {"width": W, "height": H, "picture": picture.ravel().tolist(), "rows": rows, "gray": luma}
    head = json.dumps(entries, separators=(",", ":"))[:-1]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    file.write(f'{head},"cases":[\n{lines}\n]}}\n')
