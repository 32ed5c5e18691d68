"""service_jobs.py PROGRAM FOLDER: jobs, their events, cancelling, and a service that ends in the middle of one."""
import http.client, json, os, shutil, signal, sqlite3, sys, threading, time
from service import Service, wait_for

program, folder = sys.argv[1:3]


def events(service, job):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    connection.request("GET", f"/api/jobs/{job}/events")
    response = connection.getresponse()
    assert response.status == 200 and response.headers["Content-Type"] == "text/event-stream"
    for line in response:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])
    connection.close()


def cells(results, slide):
    with sqlite3.connect(results) as database:
        return sorted(database.execute(
            "SELECT centroid_x, centroid_y, area_um2, mean_probability, polygon FROM cell JOIN run ON run.id = run_id JOIN slide ON slide.id = slide_id "
            "WHERE slide.name = ? AND tile_side = 512", (slide,)))


# More slides than are done in a moment.
names = []
for index in range(6):
    name = f"copy-{index}"
    shutil.copy(f"{folder}/slides/phantom-{1 + index % 2}.svs", f"{folder}/slides/{name}.svs")
    names.append(name)
results = f"{folder}/results.sqlite"

# What an uninterrupted service finds.
with Service(program, folder) as service:
    job = service.post("/api/jobs", {"slides": [service.slide(n) for n in names[:2]], "model": "small"}, expect=201)
    assert [s["status"] for s in job["slides"]] == ["queued", "queued"]
    seen = list(events(service, job["id"]))
    assert seen[-1]["status"] == "done" and seen[-1]["slides_done"] == 2, seen[-1]
    assert all(a["slides_done"] <= b["slides_done"] for a, b in zip(seen, seen[1:]))
    assert service.get(f"/api/jobs/{job['id']}")["status"] == "done"
    assert list(events(service, job["id"]))[-1]["status"] == "done", "an ended job says so at once"
    status, _, _ = service.request("DELETE", f"/api/jobs/{job['id']}")
    assert status == 409
    # A slide that cannot be opened costs only itself.
    job = service.post("/api/jobs", {"slides": [service.slide("broken"), service.slide("phantom-2")], "model": "small"}, expect=201)
    last = list(events(service, job["id"]))[-1]
    assert last["status"] == "done with failures" and "1 of 2" in last["message"], last
    slides = service.get(f"/api/jobs/{job['id']}")["slides"]
    assert [s["status"] for s in slides] == ["failed", "done"] and "broken" in slides[0]["message"]
    assert folder not in json.dumps(slides), "folders are the service's own"
    # Again: what failed is tried anew, what is done is left alone.
    service.post(f"/api/jobs/{job['id']}/retry", {})
    last = list(events(service, job["id"]))[-1]
    assert last["status"] == "done with failures" and folder not in json.dumps(last), last
    # A job that has nothing to do says so.
    job = service.post("/api/jobs", {"slides": [service.slide("phantom-2")], "model": "small"}, expect=201)
    last = list(events(service, job["id"]))[-1]
    assert last["status"] == "done" and last["message"] == "nothing was to be done: every slide was done already", last
    status, _, _ = service.request("POST", f"/api/jobs/{job['id']}/retry", {})
    assert status == 409, "nothing of it is left"
    assert service.end() == 0
wanted = {0: cells(results, "copy-0"), 1: cells(results, "copy-1")}
assert len(wanted[0]) > 20

# Ended in the middle, by SIGTERM and by SIGKILL; the next start goes on by itself.
with Service(program, folder) as service:
    job = service.post("/api/jobs", {"slides": [service.slide(n) for n in names[2:]], "model": "small"}, expect=201)["id"]
    later = service.post("/api/jobs", {"slides": [service.slide("phantom-1")], "model": "small"}, expect=201)["id"]
    # Pages that watch, one of them a job that still waits, must not hold up the end.
    watchers = [threading.Thread(target=lambda j=j: list(events(service, j)), daemon=True) for j in (job, later)]
    for watcher in watchers:
        watcher.start()
    wait_for(lambda: service.get(f"/api/jobs/{job}")["status"] in ("running", "done"), what="the job's start")
    start = time.time()
    assert service.end(signal.SIGTERM) == 0 and time.time() - start < 20
with sqlite3.connect(results) as database:
    assert database.execute("SELECT status FROM job WHERE id = ?", (job,)).fetchone()[0] in ("running", "done")
with Service(program, folder) as service:
    service.end(signal.SIGKILL)
with Service(program, folder) as service:
    wait_for(lambda: service.get(f"/api/jobs/{job}")["status"] == "done", 120, "the job's end")
    wait_for(lambda: service.get(f"/api/jobs/{later}")["status"] == "done", 120, "the next job's end")
    # A job that waits is cancelled at once, one that runs after its rows.
    many = service.post("/api/jobs", {"slides": [service.slide(n) for n in names], "model": "small"}, expect=201)["id"]
    waiting = service.post("/api/jobs", {"slides": [service.slide("phantom-2")], "model": "small"}, expect=201)["id"]
    for identifier in (waiting, many):
        status, _, _ = service.request("DELETE", f"/api/jobs/{identifier}")
        assert status in (200, 409)
        assert service.get(f"/api/jobs/{identifier}")["status"] in ("stopped", "done")
    assert service.end() == 0
for index, name in enumerate(names):
    assert cells(results, name) == wanted[index % 2], f"{name}: no cell is missing, none is there twice"
with sqlite3.connect(results) as database:
    assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert database.execute("SELECT COUNT(*) FROM run WHERE tile_side = 512 AND status = 'done'").fetchone()[0] == 8
