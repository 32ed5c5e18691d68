"""service_api.py PROGRAM FOLDER [DATA]: the API's answers, and DeepZoom tiles against openslide-python's own generator."""
import io, json, math, sqlite3, sys
import numpy as np
import openslide
import shapely
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image
from service import Service

program, folder, data = sys.argv[1:4]


def check_tiles(service, identifier, path, deviation):
    """Geometry at every level, pixels of some tiles; returns the mean difference."""
    slide = openslide.OpenSlide(path)
    wanted = DeepZoomGenerator(slide, tile_size=256, overlap=0)
    descriptor = service.get(f"/slides/{identifier}.dzi").decode()
    for part in ('TileSize="256"', 'Overlap="0"', 'Format="jpeg"', f'Width="{slide.dimensions[0]}"', f'Height="{slide.dimensions[1]}"'):
        assert part in descriptor, (part, descriptor)
    assert service.get(f"/api/slides/{identifier}")["levels"] == wanted.level_count
    differences = []
    for level in range(wanted.level_count):
        columns, rows = wanted.level_tiles[level]
        for column, row in {(0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1), (columns // 2, rows // 2)}:
            tile = Image.open(io.BytesIO(service.get(f"/slides/{identifier}_files/{level}/{column}_{row}.jpeg")))
            reference = wanted.get_tile(level, (column, row)).convert("RGB")
            assert tile.size == wanted.get_tile_dimensions(level, (column, row)), (level, column, row, tile.size)
            # Its thumbnails of the smallest levels keep the aspect ratio and may be a pixel smaller than it says itself.
            if min(tile.size) > 32:
                assert tile.size == reference.size, (level, column, row)
                # What the same JPEG settings make of theirs.
                encoded = io.BytesIO()
                reference.save(encoded, "JPEG", quality=82, subsampling=2)
                reference = Image.open(encoded)
                difference = np.abs(np.asarray(tile, float) - np.asarray(reference, float)).mean()
                # Levels that the slide has differ by JPEG alone, others also by the filter (area against Lanczos).
                is_own = any(abs(d - 2 ** (wanted.level_count - 1 - level)) < 1e-3 for d in slide.level_downsamples)
                assert difference < (1.5 if is_own else deviation), (level, column, row, is_own, difference)
                differences.append(difference)
        for column, row in ((columns, 0), (0, rows), (-1, 0)):
            assert service.request("GET", f"/slides/{identifier}_files/{level}/{column}_{row}.jpeg")[0] == 404
    assert service.request("GET", f"/slides/{identifier}_files/{wanted.level_count}/0_0.jpeg")[0] == 404
    return float(np.mean(differences))


with Service(program, folder) as service:
    slides = service.get("/api/slides")
    assert {s["name"] for s in slides} == {"phantom-1", "phantom-2", "broken", "odd <b>name & 100% 🔬"}, slides
    first = service.slide("phantom-1")
    print("tiles of a phantom differ by", check_tiles(service, first, f"{folder}/slides/phantom-1.svs", 8))
    check_tiles(service, service.slide("odd <b>name & 100% 🔬"), f"{folder}/slides/phantom-1.svs", 8)

    # A slide that cannot be opened costs only itself.
    for path in ("/slides/{}.dzi", "/slides/{}/thumbnail.jpeg", "/api/slides/{}"):
        status, _, answer = service.request("GET", path.format(service.slide("broken")))
        assert status == 422 and "slide" in json.loads(answer)["error"], (status, answer)

    # What a browser keeps.
    tile = f"/slides/{first}_files/9/0_0.jpeg"
    _, headers, _ = service.request("GET", tile)
    status, _, body = service.request("GET", tile, headers={"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b""), status
    assert "max-age" in headers["Cache-Control"] and "default-src 'none'" in headers["Content-Security-Policy"]

    # Cells: those of the store, where they are.
    database = sqlite3.connect(f"{folder}/results.sqlite")
    run, total = database.execute("SELECT run_id, COUNT(*) FROM cell").fetchone()
    everything = service.get(f"/api/slides/{first}/cells?bbox=0,0,900,900&limit=20000")
    assert not everything["clustered"] and len(everything["features"]) == total
    by_id = {f["properties"]["id"]: f for f in everything["features"]}
    for identifier, x, y, area, p, bounds in database.execute(
        "SELECT cell.id, centroid_x, centroid_y, area_um2, mean_probability, max_x - min_x FROM cell JOIN cell_rtree USING (id) LIMIT 200"):
        f = by_id[identifier]
        ring = f["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1]
        assert abs(f["properties"]["x"] - x) < 0.01 and abs(f["properties"]["y"] - y) < 0.01
        assert abs(f["properties"]["area_um2"] - area) < 0.06 and abs(f["properties"]["probability"] - p) < 0.001
        assert abs(max(px for px, _ in ring) - min(px for px, _ in ring) - bounds) < 1.01
    some = service.get(f"/api/slides/{first}/cells?bbox=100,100,300,300&limit=20000")["features"]
    expected = database.execute("SELECT COUNT(*) FROM cell_rtree WHERE max_x >= 100 AND min_x <= 300 AND max_y >= 100 AND min_y <= 300").fetchone()[0]
    assert len(some) == expected
    least = math.floor(100 * database.execute("SELECT AVG(mean_probability) FROM cell").fetchone()[0]) / 100
    likely = service.get(f"/api/slides/{first}/cells?bbox=0,0,900,900&min_probability={least}&limit=20000")["features"]
    assert len(likely) == database.execute("SELECT COUNT(*) FROM cell WHERE mean_probability >= ?", (least,)).fetchone()[0] < total
    clusters = service.get(f"/api/slides/{first}/cells?bbox=0,0,900,900&limit=10")
    assert clusters["clustered"] and sum(f["properties"]["count"] for f in clusters["features"]) == total
    histogram = service.get(f"/api/slides/{first}/histogram")
    cells, areas = histogram["cells"], histogram["area_square_microns"]
    assert cells[0] == total and cells[round(100 * least)] == len(likely) and len(cells) == len(areas) == 101
    with sqlite3.connect(f"{folder}/results.sqlite") as database:
        assert abs(areas[0] - database.execute("SELECT SUM(area_um2) FROM cell").fetchone()[0]) < 1e-6 * areas[0]

    # A drawn region: its cells are those whose centre lies in it, by shapely.
    corners = [[100, 100], [700, 150], [400, 400], [650, 700], [120, 600]]
    flat = ",".join(str(v) for corner in corners for v in corner)
    area = service.get(f"/api/slides/{first}/area?polygon={flat}")
    polygon = shapely.Polygon(corners)
    with sqlite3.connect(f"{folder}/results.sqlite") as database:
        centres = database.execute("SELECT centroid_x, centroid_y FROM cell").fetchall()
    inside = sum(polygon.contains(shapely.Point(x, y)) for x, y in centres)
    assert area["cells"] == inside > 0 and abs(area["square_millimeters"] - polygon.area * 0.25e-6) < 1e-9, area
    # Marks: stored with the reader's name, listed as GeoJSON, removed.
    path = f"/api/slides/{first}/annotations"
    mark = service.post(path, {"kind": "missing", "points": [[300.5, 200]], "by": "Dr. Test"}, expect=201)
    service.post(path, {"kind": "region", "points": corners, "note": "hot spot", "by": "Dr. Test"}, expect=201)
    marks = service.get(path)["features"]
    assert [m["properties"]["kind"] for m in marks] == ["missing", "region"] and marks[0]["geometry"] == {"type": "Point", "coordinates": [300.5, 200]}
    assert shapely.geometry.shape(marks[1]["geometry"]).equals(polygon) and marks[1]["properties"]["note"] == "hot spot"
    assert service.request("DELETE", f"/api/annotations/{mark['id']}")[0] == 200 and len(service.get(path)["features"]) == 1

    regions = service.get(f"/api/slides/{first}/regions")
    found = database.execute("SELECT COUNT(*), MAX(ABS(predicted_fraction - prior_mean) / MAX(prior_deviation, 0.03)) FROM region").fetchone()
    assert len(regions) == found[0] and math.isclose(abs(regions[0]["disagreement"]), found[1])

    # The overlay has the tiles' size at every level, from the network, from cells and from tiles.
    detail = service.get(f"/api/slides/{first}")
    for level in range(detail["levels"]):
        tile = Image.open(io.BytesIO(service.get(f"/api/slides/{first}/probability/{level}/0_0.png")))
        assert tile.mode == "RGBA"
    assert tile.size == (256, 256)
    # A pixel within a sure cell is painted.
    x, y = database.execute("SELECT centroid_x, centroid_y FROM cell WHERE centroid_x < 250 AND centroid_y < 250 ORDER BY mean_probability DESC").fetchone()
    assert tile.getpixel((int(x), int(y)))[3] > 150, tile.getpixel((int(x), int(y)))

    # Predict here: a square in the middle gives the cells that the run found there.
    second = service.post("/api/predict", {"slide": first, "x": 256, "y": 256, "size": 256, "model": "small"})
    assert second["prediction"]["frame"] == {"x": 256, "y": 256, "width": 256, "height": 256}
    assert second["prediction"]["cells"] == len(second["features"]["features"])
    service.post("/api/predict", {"slide": first, "x": 400, "y": 400, "size": 512})
    assert service.get("/api/models") == ["small"]

    answer = service.post("/api/query", {"sql": "SELECT COUNT(*) AS n, 'ü' AS t, NULL AS z, 1.5 AS r FROM cell"})
    assert answer["columns"] == ["n", "t", "z", "r"] and answer["rows"] == [[total, "ü", None, 1.5]] and not answer["cut_off"]

    # Counting by class: every class gets a count, then there are priors, and the command line has the same. A reader never sees
    # which class a square is of; the file says it.
    assert service.post("/api/squares/propose", {"count": 50, "by_class": True}, expect=201)["added"] > 10
    squares = service.get("/api/squares?by=Dr.%20Test")
    with sqlite3.connect(f"{folder}/results.sqlite") as database:
        classes = {(s, x, y): c for s, x, y, c in database.execute("SELECT slide, level0_x, level0_y, class FROM square")}
    assert len(classes) == len(squares) and all("coarse_class" not in s and "class" not in s for s in squares)
    assert all(list(classes.values()).count(c) <= 5 for c in range(10))
    for s in squares:
        known = classes[s["name"], s["x"], s["y"]]
        points = [[s["x"] + 10 + 3 * i, s["y"] + 50] for i in range(2 * known)]
        service.post("/api/squares/reading", {"slide": s["slide"], "x": s["x"], "y": s["y"], "side_microns": s["side_microns"],
                     "status": "counted", "points": points, "by": "Dr. Test"}, expect=201)
    again = service.get("/api/squares?by=Dr.%20Test")
    assert all(s["status"] == "counted" and len(s["points"]) == 2 * classes[s["name"], s["x"], s["y"]] for s in again)
    assert all("status" not in s and s["others"] == 1 for s in service.get("/api/squares?by=Other")), "another reader sees no counts"
    priors = service.get("/api/squares/priors")
    counted = sorted(set(classes.values()))
    assert [c for c, n in enumerate(priors["counted"]) if n] == counted
    if counted == list(range(10)):
        assert all(a <= b for a, b in zip(priors["means"], priors["means"][1:])) and len(priors["deviations"]) == 10
    assert abs(priors["means"][counted[-1]] - 2 * counted[-1] * math.pi * 49 / 10_000) < 1e-6

    assert service.get("/healthz") == {"status": "ok"}
    metrics = service.get("/metrics").decode()
    assert 'hb_requests{' in metrics and "http_route=" in metrics.replace("hb_uri", "http_route"), metrics[:500]
    for page in ("/", f"/view/{first}", "/sql", "/evaluations", "/jobs", "/count", "/login", "/models/small"):
        assert b"<!doctype html>" in service.get(page)
    documented = service.get("/api/openapi.json")
    assert documented["openapi"].startswith("3.") and "/api/query" in documented["paths"]
    assert service.request("GET", f"/slides/{first}/associated/label.jpeg")[0] == 403, "labels may name a patient"
    assert service.end() == 0

if data:
    with Service(program, folder, slides=f"{data}/wsi") as service:
        for name in ("CMU-1-Small-Region", "boxes"):
            path = next(p for p in (f"{data}/wsi/{name}.svs", f"{data}/wsi/{name}.tiff") if __import__("os").path.exists(p))
            print(name, "differs by", check_tiles(service, service.slide(name), path, 12))
