"""service_counting.py PROGRAM FOLDER [DATA]: from slides alone to cells, in headless Chromium; the service is killed on the way."""
import csv, os, shutil, signal, sqlite3, sys
from playwright.sync_api import sync_playwright
from service import Service, wait_for

program, folder = sys.argv[1:3]
bare = os.path.join(folder, "bare")
os.makedirs(f"{bare}/slides")
names = ["phantom-1", "phantom-2"]
for name in names:
    shutil.copy(f"{folder}/slides/{name}.svs", f"{bare}/slides/")
truth = {}
for name in names:
    with open(f"{sys.argv[4]}/truth/{name}.csv") as file:
        truth[name] = [(float(r["x"]), float(r["y"])) for r in csv.DictReader(file) if r["type"] == "lymphocyte"]
results = f"{bare}/results.sqlite"


def ask(sql):
    with sqlite3.connect(results) as database:
        return database.execute(sql).fetchall()


def true_cells(square):
    x, y, side = square["x"], square["y"], square["side"]
    return [(a, b) for a, b in truth[square["name"]] if x <= a < x + side and y <= b < y + side]


def open_count(browser, base, reader, steps=""):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{base}/count{steps}")
    page.wait_for_selector("#propose")
    page.fill("#by", reader)
    page.keyboard.press("Enter")
    wait_for_reader(page, reader)
    return page


def wait_for_reader(page, reader):
    """Each reader has an order of their own: a test that is quicker than the answer would count another's square."""
    wait_for(lambda: page.evaluate("window.graticuleCount?.reader()") == reader, 10, "the reader's own squares")


def shown(page):
    return page.evaluate("window.graticuleCount.square()")


def click(page, square, x, y):
    # The picture shows a quarter of a side around the square.
    box = page.locator("#field .inner").bounding_box()
    pad = round(square["side"] * 0.25)
    view = round(square["side"]) + 2 * pad
    page.mouse.click(box["x"] + (x - round(square["x"]) + pad) / view * box["width"],
                     box["y"] + (y - round(square["y"]) + pad) / view * box["height"])


def count_shown(page):
    """Clicks the true cells of the square that is shown, and goes on; gives their number."""
    square = shown(page)
    cells = true_cells(square)
    for x, y in cells:
        # Two dots closer than this are one to the page; a reader would zoom in.
        click(page, square, x, y)
    page.click("#next")
    return len(cells)


complaints = []
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    with Service(program, bare, plain=True) as service:
        page = open_count(browser, service.base, "Dr. One", "?steps=25")
        page.fill("#side input[type=number]", "20")
        page.click("#propose")
        page.wait_for_selector("#field img")
        squares = service.get("/api/squares?by=Dr.%20One")
        assert len(squares) == 20 and all("class" not in s and "coarse_class" not in s for s in squares), "the reader is blind, " + str(len(squares))
        other_order = [(s["name"], s["x"], s["y"]) for s in service.get("/api/squares?by=Dr.%20Two")]
        assert other_order != [(s["name"], s["x"], s["y"]) for s in squares], "each reader has an order of their own"

        # Autosave: a click is stored before the square is done, and is there after a reload; a click on the dot removes it.
        square = shown(page)
        middle = (square["x"] + square["side"] / 2, square["y"] + square["side"] / 2)
        click(page, square, *middle)
        wait_for(lambda: ask("SELECT lymphocytes, status, reader FROM square_reading") == [(1, "open", "Dr. One")], 10, "the stored click")
        page.reload()
        page.wait_for_selector("#field img")
        wait_for(lambda: page.locator("#field [data-dot]").count() == 1, 10, "the dot after a reload")
        assert shown(page)["x"] == square["x"] and shown(page)["y"] == square["y"]
        click(page, square, *middle)
        assert page.locator("#count").inner_text() == "0 lymphocytes"
        # Keys alone: a dot by cursor and space, taken back by Backspace.
        page.locator("#field").focus()
        for key in ("ArrowLeft", "ArrowUp", " "):
            page.keyboard.press(key)
        assert page.locator("#count").inner_text() == "1 lymphocyte"
        page.keyboard.press("Backspace")
        assert page.locator("#count").inner_text() == "0 lymphocytes"

        counted = [count_shown(page) for _ in range(19)]
        # A skip by keys: its reasons have numbers.
        page.locator("#field").focus()
        page.keyboard.press("s")
        page.keyboard.press("1")
        wait_for(lambda: ask("SELECT COUNT(*) FROM square_reading WHERE status = 'counted'") == [(19,)], 10, "all counts")
        wait_for(lambda: ask("SELECT note FROM square_reading WHERE status = 'skipped'") == [("out of focus",)], 10, "the skipped square")
        assert "All 20 squares are done" in page.locator("#lead").inner_text()
        stored = ask("SELECT SUM(lymphocytes) FROM square_reading")[0][0]
        assert 0.8 * sum(counted) <= stored <= sum(counted), f"{stored} of {sum(counted)} cells: only those that touch are missed"

        # A second reader at the same time, in a browser of their own: both counts are there, and agreement is shown.
        second = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        second.goto(f"{service.base}/count")
        second.fill("#by", "Dr. Two")
        second.keyboard.press("Tab")
        second.wait_for_selector("#field img")
        wait_for_reader(second, "Dr. Two")
        assert shown(second).get("status") is None, "the second reader's own squares"
        for _ in range(20):
            count_shown(second)
        wait_for(lambda: ask("SELECT COUNT(*), COUNT(DISTINCT reader) FROM square_reading") == [(40, 2)], 10, "both readers' counts")
        second.wait_for_selector("#agreement:has-text('Intraclass correlation')")
        agreement = service.get("/api/squares/agreement")
        assert agreement["count"] == 19 and agreement["intraclass_correlation"] > 0.95, agreement
        assert service.get("/api/squares.csv").decode().startswith("slide,x,y,lymphocytes,side_um,reader")

        # Dots of a reader who has no name yet wait for it.
        third = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        third.goto(f"{service.base}/count")
        third.wait_for_selector("#field img")
        square = shown(third)
        click(third, square, square["x"] + square["side"] / 2, square["y"] + square["side"] / 2)
        assert "say who counts" in third.locator("#saved").inner_text()
        third.fill("#by", "Dr. Three")
        third.keyboard.press("Enter")
        wait_for(lambda: ask("SELECT slide, level0_x, lymphocytes FROM square_reading WHERE reader = 'Dr. Three'") == [(square["name"], square["x"], 1)], 10, "the dot that waited")

        # Train; the service is killed in the middle.
        page.goto(f"{service.base}/count?steps=25")
        page.wait_for_selector("#train:not([disabled])")
        page.click("#train")
        page.wait_for_url("**/models/counted-1")
        wait_for(lambda: "network 2" in page.locator("#job").inner_text(), 120, "the second network")
        assert service.post("/api/train", {"model": "counted-1"}, expect=409)["error"].startswith("there is a model named")
        assert service.post("/api/train", {"model": "../out"}, expect=400)
        service.end(signal.SIGKILL)
    with Service(program, bare, plain=True) as service:
        job = service.get("/api/jobs")[0]
        assert job["kind"] == "train" and job["status"] == "running", job
        wait_for(lambda: service.get("/api/jobs")[0]["status"] == "done", 180, "the training after the restart")
        assert service.get("/api/models") == ["counted-1"]
        card = service.get("/api/models/counted-1")
        assert card["is_finished"] and len(card["curves"]) == 4 and card["squares"] == 20, card
        page.goto(f"{service.base}/models/counted-1")
        page.wait_for_selector("#card a:has-text('Segment slides')")
        page.wait_for_selector("#preview img")
        page.click("#card a:has-text('Segment slides')")
        page.wait_for_selector("#slides option >> nth=1", state="attached")
        page.click("#unsegmented")
        page.click("#start")
        # The newest job is the training until the page has asked for another.
        wait_for(lambda: [(j["kind"], j["status"]) for j in service.get("/api/jobs")][0] == ("segment", "done"), 120, "the segmentation")
        assert ask("SELECT COUNT(*) FROM run WHERE status = 'done'") == [(2,)]
        assert ask("SELECT COUNT(*) FROM cell")[0][0] > 0, "there are cells"
        page.goto(f"{service.base}/view/{service.slide('phantom-1')}")
        page.wait_for_selector(".stage[data-cells0]")

        # The next ten, where the model is unsure; stopping a training keeps the service alive.
        page.goto(f"{service.base}/count")
        page.wait_for_selector("#propose")
        page.click("#propose")
        wait_for(lambda: ask("SELECT COUNT(*) FROM square WHERE round = 2") == [(10,)], 60, "ten more squares")
        other = service.post("/api/train", {"model": "stopped", "steps": 4000}, expect=201)["id"]
        wait_for(lambda: service.get(f"/api/jobs/{other}")["status"] == "running", 30, "the other training")
        status, _, _ = service.request("DELETE", f"/api/jobs/{other}")
        assert status == 200 and service.get(f"/api/jobs/{other}")["status"] == "stopped"
    browser.close()
complaints = [c for c in complaints if "service does not answer" not in c]
assert not complaints, complaints
