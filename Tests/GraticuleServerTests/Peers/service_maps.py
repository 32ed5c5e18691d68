"""service_maps.py PROGRAM FOLDER: the map of land in headless Chromium, and what it saves, read by rasterio."""
import base64, io, json, subprocess, sys
import axe_playwright_python
import numpy as np
import rasterio
from rasterio.warp import transform as warp
from PIL import Image
from playwright.sync_api import sync_playwright
from service import Service, wait_for

program, folder = sys.argv[1:3]
land, models = f"{folder}/land", f"{folder}/models"
image = "land-1.tif"
with rasterio.open(f"{land}/images/{image}") as source:
    transform, crs, width, height = source.transform, source.crs, source.width, source.height
with rasterio.open(f"{land}/fine/{image}") as source:
    truth = source.read(1)
    colours = {value: source.colormap(1)[value][:3] for value in range(1, 5)}

# What a map of the whole says.
subprocess.run([program, "landcover", "map", f"{land}/images/{image}", "--model", f"{models}/one", "--output", f"{folder}/maps"],
               check=True, capture_output=True)
with rasterio.open(f"{folder}/maps/{image}") as source:
    whole = source.read(1)

with Service(program, folder, "--models", models, maps=land) as service, sync_playwright() as playwright:
    # The API.
    there = service.get("/api/maps")
    assert there["images"] == ["land-1.tif", "land-2.tif"] and there["models"] == ["one", "two"], there
    about = service.get(f"/api/maps/{image}")
    assert (about["width"], about["height"]) == (width, height) and all(abs(m - 1) < 0.001 for m in about["metres"])
    assert rasterio.Affine.from_gdal(*about["transform"]) == transform and "UTM zone 17N" in about["crs"]
    place = service.get(f"/api/maps/{image}/place?column=70&row=33")
    assert (place["x"], place["y"]) == transform * (70.5, 33.5)
    assert place["truth"] == ["water", "forest", "field", "impervious"][truth[33, 70] - 1]
    with rasterio.open(f"{land}/coarse/{image}") as source:
        (x,), (y,) = warp(crs, source.crs, [place["x"]], [place["y"]])
        code = next(source.sample([(x, y)]))[0]
    assert place["coarse"] == next(c["name"] for c in about["coarse"] if c["value"] == code)

    # A window is a part of the whole map, wherever it begins, and is cut to the image.
    for x, y, side in ((0, 0, 256), (131, 77, 256), (width - 100, height - 90, 256), (-20, 300, 64)):
        found = service.post(f"/api/maps/{image}/predict", {"model": "one", "x": x, "y": y, "width": side, "height": side})
        left, top = max(0, x), max(0, y)
        assert (found["x"], found["y"]) == (left, top) and found["width"] == min(width, x + side) - left
        planes = np.frombuffer(base64.b64decode(found["probabilities"]), "<u2").reshape(4, found["height"], found["width"])
        own = whole[top:top + found["height"], left:left + found["width"]]
        same = (planes.argmax(axis=0) + 1 == own).mean()
        assert same > 0.9999, f"at {x}, {y} only {same:.5f} of the pixels are those of the whole map"
    for body, status, words in (
        ({"width": 90000}, 413, "zoom in"), ({"x": width + 10}, 400, "beside the image"), ({"model": "none"}, 404, "no model named"),
        ({"width": 0}, 400, "from 1"), ({"x": -2**63}, 400, "beside the image"), ({"extra": 1}, 400, "no field 'extra'"), ({"x": 2**40}, 400, "beside the image"),
    ):
        wanted = {"model": "one", "x": 0, "y": 0, "width": 100, "height": 100, **body}
        answer = service.post(f"/api/maps/{image}/predict", wanted, expect=status)
        assert words in answer["error"], answer
    for path, status in (("/api/maps/..%2f..%2fetc", 404), (f"/maps/{image}/image/9/0_0.jpeg", 404), (f"/maps/{image}/image/0/1_0.jpeg", 404),
                         (f"/maps/{image}/none/0/0_0.png", 404), (f"/maps/{image}/image/x/0_0.png", 400),
                         (f"/api/maps/{image}/place?column=5000&row=1", 400), (f"/api/maps/{image}/map.tif?model=one", 400),
                         (f"/api/maps/{image}/map.tif?model=one&x=0&y=0&width=9&height=9&weights=sea=1", 422)):
        status_found, _, data = service.request("GET", path)
        assert status_found == status and "error" in json.loads(data), (path, status_found, data[:200])

    # The page.
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    complaints, requests = [], []
    page.on("console", lambda m: complaints.append(f"{m.type}: {m.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    point = lambda x, y: page.evaluate("([x, y]) => window.graticule.pagePoint(x, y)", [x, y])
    predictions = lambda: int(page.evaluate("document.getElementById('where').dataset.predicted ?? 0"))

    def pixels():
        return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), int)

    # A known pixel is where it is: an edge of the true labels, at eight screen pixels a pixel.
    row, column = next((r, c) for r in range(200, 400) for c in range(200, 400)
                       if len(set(truth[r, c - 3:c])) == 1 and len(set(truth[r, c:c + 3])) == 1 and truth[r, c - 1] != truth[r, c])
    page.goto(f"{service.base}/?image={image}&layers=truth&opacities=100+100+100+100#{column},{row},{about['levels'] - 1 + 3}")
    page.wait_for_selector("body[data-ready]")
    wait_for(lambda: page.evaluate("document.querySelectorAll('.tile img').length > 0 && [...document.querySelectorAll('.tile img')].every((i) => i.complete && i.naturalWidth)"))
    page.wait_for_timeout(500)
    shown = pixels()
    for offset, value in ((-0.5, truth[row, column - 1]), (0.5, truth[row, column])):
        x, y = point(column + offset, row + 0.5)
        assert abs(shown[round(y), round(x)] - np.array(colours[value])).max() <= 2, (offset, shown[round(y), round(x)], colours[value])

    # A click paints 256 m; two models are compared.
    page.goto(f"{service.base}/?image={image}&model=one&model=two")
    page.wait_for_selector("body[data-ready]")
    page.wait_for_timeout(300)
    taken = []
    for number in range(10):
        page.mouse.click(*point(150 + 20 * number, 200))
        wait_for(lambda: predictions() == number + 1, 30, "a prediction")
        taken.append(page.evaluate("Number(document.getElementById('prediction').textContent.match(/in ([\\d.]+) s/)[1])"))
    patches = page.evaluate("window.graticule.paint.patches.map(({ found: { x, y, width, height }, side }) => [x, y, width, height, side])")
    assert len(patches) == 20 and patches[0] == [22, 72, 256, 256, 0] and patches[1][4] == 1, patches[:2]
    assert page.is_visible("#swipe")
    assert page.locator("#place dd").count() >= 4

    # Weights repaint at once, and ask nobody.
    page.wait_for_load_state("networkidle")
    before = len(requests)
    page.evaluate("""() => { const slider = document.getElementById('weight-impervious'); slider.value = 12; slider.dispatchEvent(new Event('input')); }""")
    wait_for(lambda: page.evaluate("document.getElementById('where').dataset.milliseconds"), 30, "a repaint")
    milliseconds = float(page.evaluate("document.getElementById('where').dataset.milliseconds"))
    drawn = page.evaluate("""() => { const { canvas } = window.graticule.paint.patches.at(-2);
        return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]; }""")
    drawn = np.array(drawn, np.uint8).reshape(256, 256, 4)[..., :3]
    x = patches[-2][0]
    planes = np.frombuffer(base64.b64decode(service.post(
        f"/api/maps/{image}/predict", {"model": "one", "x": x, "y": 72, "width": 256, "height": 256})["probabilities"]), "<u2")
    best = ((planes.reshape(4, 256, 256).astype(float) - 1) * np.array([1, 1, 1, 8]).reshape(4, 1, 1)).argmax(axis=0) + 1
    assert (drawn == np.array([(0, 0, 0)] + [colours[v] for v in range(1, 5)])[best]).all()
    page.locator("#opacity-network").fill("30")
    asked = [url for url in requests[before:] if not url.endswith("icon.svg")]
    assert not asked, f"asked for {asked}"
    assert "weights=impervious%3D8" in page.url and "opacities=100+60+70+30" in page.url, page.url

    # What is saved opens with its place, and is what the page shows.
    with page.expect_download() as download:
        page.click("#download")
    path = f"{folder}/saved.tif"
    download.value.save_as(path)
    with rasterio.open(path) as saved:
        x, y, w, h = page.evaluate("window.graticule.paint.view()")
        assert saved.crs == crs and (saved.width, saved.height) == (w, h) and saved.nodata == 0
        assert saved.transform * (0, 0) == transform * (x, y) and saved.colormap(1)[4][:3] == colours[4]
        values = saved.read(1)
    px, py = patches[-2][0], 72
    assert (values[py - y:py - y + 256, px - x:px - x + 256] == best).mean() > 0.999

    # The link shows the same again.
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("window.graticule.state.weights.impervious") == 8
    assert page.evaluate("window.graticule.state.models") == ["one", "two"]

    # Too much at once is refused in words; a model that has gone is, too.
    page.evaluate("window.graticule.paint.predict(0, 0, 9000, 9000)")
    page.wait_for_selector("#prediction.error:has-text('zoom in')")
    complaints[:] = [c for c in complaints if "413" not in c]
    page.click("#predict-view")
    wait_for(lambda: "px in" in page.inner_text("#prediction"), 60, "the view")

    axe = open(axe_playwright_python.__path__[0] + "/axe.min.js").read()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")["violations"]
        assert not found, [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found]
    for size in (390, 800):
        page.set_viewport_size({"width": size, "height": 780})
        assert page.evaluate("document.documentElement.scrollWidth") <= size, f"the page overflows {size} px"
    assert not complaints, complaints
    assert all(url.startswith((service.base, "blob:" + service.base, "about:")) for url in requests), [u for u in requests if not u.startswith(service.base)][:3]
    assert service.end() == 0
    print(f"clicks {sorted(taken)[-1]:.2f} s at most, weights {milliseconds} ms")
