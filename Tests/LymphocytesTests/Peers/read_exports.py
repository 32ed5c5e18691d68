"""Reads a run's exports with the peers' own libraries and compares them with the store.

read_exports.py results.sqlite SLIDE FOLDER: FOLDER holds cells.geojson.gz, cells.csv, cells.db, cells.json, mask.tif,
probability.tif, heatmap.txt and heatmap.csv. Ends with status 1 and a sentence where something does not agree.
"""
import csv, gzip, json, sqlite3, sys, uuid, zlib

import numpy as np
import openslide
import shapely
import shapely.geometry
import tifffile
from pycocotools import mask as coco_mask

store_path, slide_name, folder = sys.argv[1:4]
store = sqlite3.connect(store_path)
run, slide_id, scale, mpp, bx, by, width, height = store.execute(
    "SELECT run.id, slide.id, level0_per_pixel, microns_per_pixel, bounds_x, bounds_y, width, height FROM run "
    "JOIN slide ON slide.id = slide_id WHERE slide.name = ? AND status = 'done' ORDER BY run.id DESC LIMIT 1",
    [slide_name]).fetchone()
cells = {r[0]: r[1:] for r in store.execute(
    "SELECT id, centroid_x, centroid_y, area_um2, polygon, mask_x, mask_y, mask_width, mask_height FROM cell WHERE run_id = ?", [run])}
assert cells, "the store has no cells"
order = sorted(cells)
pixel_area = (mpp * scale) ** 2


def near(a, b, share, what):
    assert abs(a - b) <= share * max(abs(a), abs(b)) + 1e-6, f"{what}: {a} and {b} differ"


# Schema: what QuPath needs of a detection.
with gzip.open(f"{folder}/cells.geojson.gz", "rt", encoding="utf-8") as f:
    collection = json.load(f)
assert collection["type"] == "FeatureCollection"
assert len(collection["features"]) == len(cells), "GeoJSON has another number of cells"
identifiers = set()
for id, feature in zip(order, collection["features"]):
    assert feature["type"] == "Feature" and feature["properties"]["objectType"] == "detection"
    identifiers.add(uuid.UUID(feature["id"]))
    kind = feature["properties"]["classification"]
    assert isinstance(kind["name"], str) and len(kind["color"]) == 3 and all(0 <= c <= 255 for c in kind["color"])
    assert all(isinstance(v, (int, float)) for v in feature["properties"]["measurements"].values())
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid, f"outline of cell {id} is not simple"
    x, y, area = cells[id][:3]
    near(feature["properties"]["measurements"]["Area µm^2"], area, 0.001, "GeoJSON area")
    # The outline runs through the middles of the border's pixels: half a pixel less.
    assert abs(shape.area * mpp * mpp + 0.5 * pixel_area - area) <= 0.02 * area, "the outline has another area"
    assert shape.buffer(2 * scale).contains(shapely.geometry.Point(x - bx, y - by)), "a cell lies elsewhere"
    wkb = shapely.from_wkb(cells[id][3])
    near(wkb.area, shape.area, 0.001, "WKB area")
assert len(identifiers) == len(cells), "two cells share an identifier"

with open(f"{folder}/cells.csv", newline="") as f:
    rows = list(csv.DictReader(f))
assert [int(r["cell"]) for r in rows] == order and rows[0]["slide"] == slide_name
near(sum(float(r["area_um2"]) for r in rows), sum(c[2] for c in cells.values()), 0.001, "CSV area")

# TIAToolbox's store, as its SQLiteStore queries it.
annotations = sqlite3.connect(f"{folder}/cells.db")
meta = {k: json.loads(v) for k, v in annotations.execute("SELECT key, value FROM metadata")}
assert meta == {"version": "1.0.1", "compression": "zlib", "compression_level": 9}, meta
assert annotations.execute("SELECT COUNT(*) FROM annotations").fetchone()[0] == len(cells)
for id, (x, y, area, *_) in list(cells.items())[:: max(1, len(cells) // 50)]:
    found = annotations.execute(
        "SELECT geometry, properties, area, cx, cy FROM annotations JOIN rtree USING (id) WHERE max_x >= ? AND min_x <= ? "
        "AND max_y >= ? AND min_y <= ?", (x, x, y, y)).fetchall()
    match = [f for f in found if abs(f[3] - x) < 0.01 and abs(f[4] - y) < 0.01]
    assert len(match) == 1, f"a query at ({x}, {y}) does not find the cell"
    geometry = shapely.from_wkb(zlib.decompress(match[0][0]))
    near(geometry.area, match[0][2], 0.001, "TIAToolbox area")
    json.loads(match[0][1])

with open(f"{folder}/cells.json") as f:
    coco = json.load(f)
image = coco["images"][0]
assert (image["width"], image["height"]) == (-(-width // int(scale)) if scale >= 1 else image["width"], image["height"])
assert [a["id"] for a in coco["annotations"]] == order
union = np.zeros((image["height"], image["width"]), bool)
for annotation in coco["annotations"]:
    rle = annotation["segmentation"]
    near(coco_mask.area(rle), cells[annotation["id"]][2] / pixel_area, 0.02, "COCO area")
    box = coco_mask.toBbox(rle)
    assert list(box) == annotation["bbox"] == list(cells[annotation["id"]][4:]), "COCO bounds"
for annotation in coco["annotations"][:200]:
    union |= coco_mask.decode(annotation["segmentation"]).astype(bool)


def read_tiff(path, pages):
    """The first level with tifffile, and that OpenSlide opens the same pyramid."""
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff and tiff.is_ome and tiff.pages[0].is_tiled
        assert f'PhysicalSizeX="{mpp * scale}"' in tiff.pages[0].description or "PhysicalSizeX" in tiff.pages[0].description
        level = tiff.pages[0].asarray()
        sizes = [page.shape for page in tiff.pages]
    assert all(b == (-(-a[0] // 2), -(-a[1] // 2)) for a, b in zip(sizes, sizes[1:])), sizes
    slide = openslide.OpenSlide(path)
    assert slide.level_count == len(sizes) and slide.dimensions == (level.shape[1], level.shape[0])
    y, x = np.argwhere(level > 0)[len(np.argwhere(level > 0)) // 2]
    patch = np.asarray(slide.read_region((int(x) - 4, int(y) - 4), 0, (9, 9)).convert("L"))
    assert (patch[4, 4] == level[y, x]), "OpenSlide and tifffile see other pixels"
    near(10000 / float(slide.properties["tiff.XResolution"]), mpp * scale, 1e-3, "size of a pixel")
    return level, slide


mask, _ = read_tiff(f"{folder}/mask.tif", None)
assert set(np.unique(mask)) <= {0, 255}
# Cells share no pixel, but for one that lies in the filled hole of another.
areas = sum(coco_mask.area(a["segmentation"]) for a in coco["annotations"])
assert 0.98 * areas <= (mask > 0).sum() <= areas, "the mask has another area than the cells"
assert (mask[union] == 255).all(), "the mask lacks pixels of COCO's"
probability, _ = read_tiff(f"{folder}/probability.tif", None)
threshold = store.execute("SELECT threshold FROM run WHERE id = ?", [run]).fetchone()[0]
# Filled holes and small parts apart, cells are where the probability is above the threshold.
assert (probability[mask > 0] >= int(threshold * 255)).mean() > 0.9
assert probability.shape == mask.shape

quip = [list(map(float, line.split())) for line in open(f"{folder}/heatmap.txt")]
table = list(csv.DictReader(open(f"{folder}/heatmap.csv")))
assert len(quip) == len(table) > 0
side = float(table[0]["width"])
near(side * mpp, 50, 0.02, "side of a region")
for (x, y, p, n), row in zip(quip, table):
    assert x == float(row["minx"]) + side // 2 and y == float(row["miny"]) + side // 2 and p == float(row["prob_Lymphocytes"])
    assert 0 <= p <= 1 and n == 0
counts = {}
for x, y, *_ in cells.values():
    counts[(x // side, y // side)] = counts.get((x // side, y // side), 0) + 1
filled = [p for x, y, p, _ in quip if counts.get((x // side, y // side), 0) > 2]
empty = [p for x, y, p, _ in quip if counts.get((x // side, y // side), 0) == 0]
assert not filled or not empty or min(filled) > max(empty), "regions with cells score no higher than those without"
print(f"{len(cells)} cells agree in every format")
