"""What a Python user would write: openslide-python, PyTorch, scikit-image, sqlite3. torch_pipeline.py MODEL SLIDE OUT.sqlite

Tiles of 512 px at 0.5 µm over tissue, the frozen network, a probability map, components cut by a watershed, outlines and
areas into SQLite. One process, PyTorch on all cores.
"""
import json, os, sqlite3, sys, time

import numpy as np
import openslide
import torch
from scipy import ndimage
from skimage import measure, segmentation
from skimage.morphology import h_maxima

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from torch_inference import frozen, load

folder, path, output = sys.argv[1:4]
start = time.time()
net, model = load(folder)
threshold = model.get("threshold") or 0.5
slide = openslide.OpenSlide(path)
width, height = slide.dimensions
thumbnail = np.asarray(slide.get_thumbnail((width // 16, height // 16)).convert("RGB")).astype(np.float32)
density = -np.log10((thumbnail + 1) / 256).mean(2)
tissue = ndimage.gaussian_filter(density, 1) > 0.05
stains = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], np.float32)
stains /= np.linalg.norm(stains, axis=1, keepdims=True)
inverse = np.linalg.inv(stains).astype(np.float32)
table = (-np.log10((np.arange(256, dtype=np.float32) + 1) / 256)).astype(np.float32)
side, halo = 512, 28
probability = np.zeros((height, width), np.uint8)
hematoxylin = np.zeros((height, width), np.uint8)
tiles = 0
form = None
with torch.no_grad():
    for y in range(0, height, side):
        for x in range(0, width, side):
            if not tissue[y // 16 : (y + side) // 16 + 1, x // 16 : (x + side) // 16 + 1].any():
                continue
            size = side + 2 * halo
            rgb = np.asarray(slide.read_region((x - halo, y - halo), 0, (size, size)).convert("RGB"))
            optical = table[rgb] @ inverse
            planes = np.empty((5, size, size), np.float32)
            planes[:3] = rgb.transpose(2, 0, 1) / 127.5 - 1
            planes[3:] = 2 * optical[..., :2].transpose(2, 0, 1) - 0.5
            image = torch.from_numpy(planes[None]).contiguous(memory_format=torch.channels_last)
            if form is None:
                form = frozen(net, image)
            p = torch.sigmoid(form(image))[0, 0, halo:-halo, halo:-halo].numpy()
            h, w = min(side, height - y), min(side, width - x)
            probability[y : y + h, x : x + w] = (p[:h, :w] * 255).astype(np.uint8)
            hematoxylin[y : y + h, x : x + w] = np.clip(optical[halo : halo + h, halo : halo + w, 0] * 100, 0, 255).astype(np.uint8)
            tiles += 1
inferred = time.time()
mask = probability >= threshold * 255
labels = measure.label(mask, connectivity=1)
store = sqlite3.connect(output)
store.execute("CREATE TABLE cell (id INTEGER PRIMARY KEY, x REAL, y REAL, area REAL, perimeter REAL, probability REAL, od REAL, polygon TEXT)")
cells = 0
for region in measure.regionprops(labels):
    if region.area < 40:
        continue
    part = np.pad(ndimage.binary_fill_holes(region.image), 1)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(part), 1)
    split = segmentation.watershed(-distance, measure.label(h_maxima(distance, 0.2)), mask=part)
    top, left = region.bbox[0] - 1, region.bbox[1] - 1
    for piece in measure.regionprops(split):
        if piece.area < 40:
            continue
        rows, columns = piece.coords[:, 0] + top, piece.coords[:, 1] + left
        outline = measure.find_contours(np.pad(piece.image, 1), 0.5)[0]
        polygon = [[float(b + left + piece.bbox[1] - 1), float(a + top + piece.bbox[0] - 1)] for a, b in outline]
        store.execute(
            "INSERT INTO cell (x, y, area, perimeter, probability, od, polygon) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (columns.mean() + 0.5, rows.mean() + 0.5, piece.area * 0.25, piece.perimeter * 0.5,
             probability[rows, columns].mean() / 255, hematoxylin[rows, columns].mean() / 100, json.dumps(polygon)))
        cells += 1
store.commit()
end = time.time()
print(json.dumps({"seconds": end - start, "inference": inferred - start, "cells_and_store": end - inferred, "tiles": tiles, "cells": cells}))
