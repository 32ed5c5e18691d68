"""service_pages.py PROGRAM FOLDER [DATA]: the pages in headless Chromium."""
import io, os, shutil, sqlite3, sys
import axe_playwright_python
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from service import Service, wait_for

program, folder, data = sys.argv[1:4]
results = f"{folder}/results.sqlite"
if data:
    shutil.copy(f"{data}/wsi/CMU-1-Small-Region.svs", f"{folder}/slides/")


def outline_box(page, clip):
    """The bounds, within a clip of the page, of what has the colour of cell outlines."""
    image = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"), int)
    mask = (abs(image - np.array([0, 229, 212])).max(axis=2) < 40)
    ys, xs = np.nonzero(mask)
    assert len(xs), "no outline is drawn there"
    return clip["x"] + xs.min(), clip["y"] + ys.min(), clip["x"] + xs.max() + 1, clip["y"] + ys.max() + 1


def until(page, condition):
    """Polls from here: a condition that polls in the page is compiled there, which the pages' security policy forbids."""
    wait_for(lambda: page.evaluate(condition), 30, condition)


with Service(program, folder) as service, sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    complaints = []
    page.on("console", lambda m: complaints.append(f"{m.type}: {m.text} {m.location.get('url')}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    base, slide = service.base, service.slide("phantom-1")

    # The list. (The broken slide's picture cannot be loaded: the browser says so, and the page says it in words.)
    page.goto(base)
    page.wait_for_selector(".card >> nth=3")
    assert page.locator(".card", has_text="odd <b>name & 100% 🔬").count() == 1, "names are text, not HTML"
    page.wait_for_selector("text=cannot be opened")
    complaints[:] = [c for c in complaints if "422" not in c]
    page.fill("#search", "phantom-1")
    assert page.locator(".card").count() == 1
    page.locator(".card").click()
    page.wait_for_selector("body[data-ready]")
    page.wait_for_selector(".stage[data-cells0]")

    # Tiles come, and cells are where they are: a lone cell at eight times the resolution.
    with sqlite3.connect(results) as database:
        total = database.execute("SELECT COUNT(*) FROM cell").fetchone()[0]
        rows = database.execute("SELECT min_x, min_y, max_x, max_y FROM cell_rtree").fetchall()
    def is_alone(a):
        return all(a is b or b[0] > a[2] + 8 or b[2] < a[0] - 8 or b[1] > a[3] + 8 or b[3] < a[1] - 8 for b in rows)
    box = next(a for a in rows if 100 < a[0] < 700 and 100 < a[1] < 700 and is_alone(a))
    page.goto(f"{base}/view/{slide}?layers=cells#{(box[0] + box[2]) / 2},{(box[1] + box[3]) / 2},{10 + 3}")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    until(page, "document.querySelectorAll('.tile img').length > 0 && [...document.querySelectorAll('.tile img')].every((i) => i.complete && i.naturalWidth > 0)")
    page.wait_for_timeout(700)
    corners = [page.evaluate("([x, y]) => window.graticule.pagePoint(x, y)", [x, y]) for x, y in ((box[0], box[1]), (box[2], box[3]))]
    clip = {"x": corners[0][0] - 30, "y": corners[0][1] - 30, "width": corners[1][0] - corners[0][0] + 60, "height": corners[1][1] - corners[0][1] + 60}
    drawn = outline_box(page, clip)
    # The stroke is 2 px wide, half of it outside.
    for a, b, outside in zip(drawn, (*corners[0], *corners[1]), (-1, -1, 1, 1)):
        assert abs(a - outside - b) <= 1, (drawn, corners)
    # The slide itself lies under it: at full zoom one pixel of the slide is eight of the page.
    middle = page.evaluate("([x, y]) => window.graticule.pagePoint(x, y)", [box[0] + 1, box[1] + 1])
    assert abs(middle[0] - corners[0][0] - 8) < 0.01

    # Hover.
    page.mouse.move(sum(c[0] for c in corners) / 2, sum(c[1] for c in corners) / 2)
    page.wait_for_selector(".leaflet-tooltip:has-text('µm²')")
    assert "probability" in page.locator(".leaflet-tooltip").first.inner_text()

    # The slider recounts at once.
    assert f"{total:,}" in page.locator("#count").inner_text()
    with sqlite3.connect(results) as database:
        least = int(100 * database.execute("SELECT AVG(mean_probability) FROM cell").fetchone()[0]) / 100
        likely = database.execute("SELECT COUNT(*) FROM cell WHERE mean_probability >= ?", (least,)).fetchone()[0]
    assert likely < total
    page.locator("#threshold").evaluate("(e, least) => { e.value = least; e.dispatchEvent(new Event('input')); }", least)
    assert f"{likely:,}" in page.locator("#count").inner_text(), page.locator("#count").inner_text()

    # Worst disagreement: click, and the region is in the middle.
    region = service.get(f"/api/slides/{slide}/regions?limit=1")[0]
    page.locator("#too-few button" if region["disagreement"] < 0 else "#too-many button").first.click()
    page.wait_for_timeout(400)
    x, y = page.evaluate("([x, y]) => window.graticule.pagePoint(x, y)", [region["x"] + region["side"] / 2, region["y"] + region["side"] / 2])
    stage = page.locator(".stage").bounding_box()
    assert abs(x - stage["x"] - stage["width"] / 2) < 2 and abs(y - stage["y"] - stage["height"] / 2) < 2
    assert f"#{region['x'] + region['side'] / 2:.1f}," in page.url, "the address is a permalink"

    # Layers by keyboard; predict here.
    for key in "pkd":
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert all(page.locator(f"#layer-{name}").is_checked() for name in ("probability", "classes", "disagreement"))
    for key in "pkdh":
        page.keyboard.press(key)
    page.mouse.click(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    page.wait_for_selector("#prediction:has-text('lymphocytes, mean probability')")
    page.keyboard.press("h")

    # SQL with a download.
    page.goto(f"{base}/sql")
    page.wait_for_selector("#answer table")
    page.fill("#sql", "SELECT COUNT(*) AS n, '=1+1' AS formula FROM cell")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("th:text-is('formula')")
    with page.expect_download() as download:
        page.click("#csv")
    assert open(download.value.path()).read().splitlines() == ["n,formula", f"{total},'=1+1"]
    before = len(complaints)
    page.fill("#sql", "DELETE FROM cell")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#message.error")
    del complaints[before:]  # A browser logs each 400 of its own accord.

    # A job to its end.
    page.goto(f"{base}/jobs")
    page.wait_for_selector("#slides option >> nth=1", state="attached")
    page.select_option("#slides", label="phantom-2")
    page.click("#start")
    page.wait_for_selector(".job .chip.done", timeout=60_000)
    page.goto(f"{base}/view/{service.slide('phantom-2')}")
    page.wait_for_selector(".stage[data-cells0]")
    page.goto(f"{base}/evaluations")
    page.wait_for_load_state("networkidle")

    # Two runs side by side: the same slide with other settings, and a bar between them.
    job = service.post("/api/jobs", {"slides": [slide], "model": "small"}, expect=201)["id"]
    wait_for(lambda: service.get(f"/api/jobs/{job}")["status"] == "done", 60, "the second run")
    page.goto(f"{base}/view/{slide}?layers=cells")
    page.wait_for_selector(".stage[data-cells0]")
    first_run, second_run = (r["id"] for r in service.get(f"/api/slides/{slide}")["runs"])
    page.select_option("#run-1", str(second_run))
    page.wait_for_selector(".stage[data-cells1]")
    page.wait_for_selector("#swipe:not(.hidden)")
    def clips():
        return page.evaluate("['first', 'second'].map((n) => window.graticule.map.getPane(n).style.clip)")
    before = clips()
    assert all(c.startswith("rect(") for c in before), before
    bar = page.locator("#swipe").bounding_box()
    page.mouse.move(bar["x"] + 15, bar["y"] + 300)
    page.mouse.down()
    page.mouse.move(bar["x"] - 185, bar["y"] + 300, steps=4)
    page.mouse.up()
    assert abs(page.locator("#swipe").bounding_box()["x"] - bar["x"] + 200) < 2 and clips() != before
    page.select_option("#run-1", "")
    page.wait_for_selector("#swipe.hidden", state="attached")
    assert first_run != second_run and clips() == ["", ""]

    # A region is drawn: its count is there at once, and is stored. A cell is marked as none.
    page.goto(f"{base}/view/{slide}?layers=cells#400,400,9.5")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.evaluate("localStorage.setItem('counter', 'Dr. Page')")
    page.keyboard.press("r")
    for x, y in ((200, 200), (600, 200), (600, 600)):
        place = page.evaluate("([x, y]) => window.graticule.pagePoint(x, y)", [x, y])
        page.mouse.click(*place)
        page.wait_for_timeout(350)
    page.keyboard.press("Enter")
    page.wait_for_selector(".marks-list li:has-text('lymphocytes on')")
    stored = service.get(f"/api/slides/{slide}/annotations")["features"]
    assert len(stored) == 1 and stored[0]["properties"]["reader"] == "Dr. Page"
    corner = stored[0]["geometry"]["coordinates"][0][0]
    assert abs(corner[0] - 200) < 2 and abs(corner[1] - 200) < 2, corner
    flat = ",".join(str(v) for c in stored[0]["geometry"]["coordinates"][0][:-1] for v in c)
    count = service.get(f"/api/slides/{slide}/area?run={first_run}&polygon={flat}")["cells"]
    assert page.locator(".marks-list li").inner_text().startswith(f"{count} lymphocytes"), page.locator(".marks-list").inner_text()
    with page.expect_download() as download:
        page.click("button:text-is('CSV')")
    assert open(download.value.path()).read().startswith("id,x,y,area_um2,probability\n")
    # The threshold begins where the run's cells end, and is in the address with the rest.
    assert "the run's own" in page.locator("#side").inner_text()
    page.evaluate("(() => { const t = document.getElementById('threshold'); t.value = 0.9; t.dispatchEvent(new Event('input')); })()")
    assert "threshold=0.9" in page.url
    page.goto(f"{base}/nothing/here")
    assert "nothing at this address" in page.locator("h1").inner_text()

    # WCAG AA by axe-core, in both colour schemes.
    axe = open(axe_playwright_python.__path__[0] + "/axe.min.js").read()
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme, bypass_csp=True)
        other = context.new_page()
        for path in ("/", "/jobs", "/count", "/sql", "/evaluations", "/login", "/models/small", "/nothing", f"/view/{slide}"):
            other.goto(base + path)
            other.wait_for_timeout(600)
            other.evaluate(axe)
            found = other.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")["violations"]
            assert not found, [(path, v["id"], v["nodes"][0]["html"][:200]) for v in found]
        for width in (390, 800):
            other.set_viewport_size({"width": width, "height": 844})
            for path in ("/", "/jobs", "/count", "/sql", "/models/small", f"/view/{slide}"):
                other.goto(base + path)
                other.wait_for_timeout(300)
                assert other.evaluate("[document.documentElement.scrollWidth - innerWidth, (m => m.scrollWidth - m.clientWidth)(document.querySelector('main'))].every((d) => d <= 0)"), (path, width)
        context.close()
    complaints[:] = [c for c in complaints if "404" not in c]

    if data:
        page.goto(f"{base}/view/{service.slide('CMU-1-Small-Region')}")
        page.wait_for_selector("body[data-ready]")
        until(page, "[...document.querySelectorAll('.tile img')].some((i) => i.complete && i.naturalWidth > 0)")
        page.keyboard.press("1")
        page.wait_for_load_state("networkidle")
        assert "not been segmented" in page.locator("#side").inner_text()
    assert not complaints, complaints
    browser.close()
    assert service.end() == 0
