"""service_attacks.py PROGRAM FOLDER: each attack gets 4xx and a sentence, and the service stays up."""
import hashlib, json, os, socket, sys, threading, time
from service import Service

program, folder = sys.argv[1:3]


def refused(service, method, path, body=None, headers=None, statuses=range(400, 500), sentence=True):
    status, _, data = service.request(method, path, body, headers)
    assert status in statuses, f"{method} {path}: {status} {data[:200]}"
    if sentence:
        assert len(json.loads(data)["error"]) > 8, data
    assert b"root:" not in data and folder.encode() not in data, f"{method} {path} tells too much: {data[:300]}"


with Service(program, folder) as service:
    results = f"{folder}/results.sqlite"
    before = {name: hashlib.sha256(open(f"{folder}/slides/{name}", "rb").read()).hexdigest() for name in os.listdir(f"{folder}/slides")}
    cells = service.post("/api/query", {"sql": "SELECT COUNT(*) FROM cell"})["rows"]
    slide = service.slide("phantom-1")

    # Paths in every parameter.
    for evil in ("..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fetc/passwd", "..", "....//", "/etc/passwd", "%00", "x%00.svs", "phantom-1.svs",
                 "%ff%fe", "a" * 3000, "'; DROP TABLE cell; --", "<script>alert(1)</script>".replace("<", "%3c").replace(">", "%3e")):
        evil = evil.replace(" ", "%20")
        for path in (f"/slides/{evil}.dzi", f"/slides/{evil}_files/0/0_0.jpeg", f"/slides/{slide}_files/{evil}/0_0.jpeg", f"/slides/{slide}_files/0/{evil}.jpeg",
                     f"/slides/{evil}/thumbnail.jpeg", f"/slides/{slide}/associated/{evil}.jpeg", f"/api/slides/{evil}", f"/api/slides/{evil}/cells?bbox=0,0,1,1",
                     f"/viewer/{evil}", f"/api/jobs/{evil}", f"/api/jobs/{evil}/events", f"/api/slides/{slide}/probability/{evil}/0_0.png",
                     f"/api/slides/{slide}/probability/0/{evil}.png"):
            refused(service, "GET", path, sentence=False)
    for raw in (b"GET /../../etc/passwd", b"GET /viewer/../../../etc/passwd", b"GET //etc/passwd", b"GET /viewer/..%2f..%2fservice.log"):
        assert service.raw(raw + b" HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % service.port) in range(400, 500)

    # Numbers.
    for box in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,1,1", "inf,0,1,1", "-inf,0,inf,1", "0,0,1e12,1e12", "5,5,1,1", "1e999,0,0,0", "0x10,0,1,1,", "0,0,,1"):
        refused(service, "GET", f"/api/slides/{slide}/cells?bbox={box}")
    assert service.get(f"/api/slides/{slide}/cells?bbox=-1e9,-1e9,1e9,1e9&limit=20000")["features"]
    assert service.get(f"/api/slides/{slide}/cells?bbox=-1000000,-5,-999999,-4")["features"] == []
    for query in ("limit=0", "limit=-1", "limit=99999999999999999999", "limit=x", "min_probability=nan", "min_probability=1e400", "run=-1", "run=999999", "run=abc"):
        refused(service, "GET", f"/api/slides/{slide}/cells?bbox=0,0,10,10&{query}")
    for query in ("", "x=0&y=0", "x=0&y=0&side=0", "x=0&y=0&side=100000", "x=1e12&y=0&side=10", "x=999999999999&y=0&side=10", "x=-99999999999&y=0&side=1", "x=nan&y=0&side=1"):
        refused(service, "GET", f"/slides/{slide}/region.jpeg?{query}")
    for address in ("99/0_0", "-1/0_0", "0/0_-1", "9223372036854775807/0_0", "5/9223372036854775807_9223372036854775807", "5/0", "5/0_0_0", "5/1e3_0", "1.5/0_0"):
        refused(service, "GET", f"/slides/{slide}_files/{address}.jpeg")
        refused(service, "GET", f"/api/slides/{slide}/probability/{address}.png")
    for place in ({"x": -1e12}, {"x": 1e12}, {"y": 1e300}, {"size": 0}, {"size": -5}, {"size": 1e12}, {"size": 5000}, {"x": "a"}, {"x": None}, {"model": "../../etc"}, {"slide": "../phantom-1"}, {"slide": 5}):
        refused(service, "POST", "/api/predict", {"slide": slide, "x": 10, "y": 10, "size": 64, **place})
    for text in ('{"slide":"%s","x":NaN,"y":0,"size":64}' % slide, '{"slide":"%s","x":1e999,"y":0,"size":64}' % slide, "[", "", "null", "[1]", '"x"', "{" * 20000):
        refused(service, "POST", "/api/predict", text, {"Content-Type": "application/json"})
    service.post("/api/squares/propose", {"count": 3}, expect=201)
    square = service.get("/api/squares")[0]
    reading = {"slide": square["slide"], "x": square["x"], "y": square["y"], "side_microns": square["side_microns"], "status": "counted", "points": [], "by": "x"}
    for change in ({"x": 1e12}, {"y": -1}, {"by": ""}, {"by": "y" * 1000}, {"points": [[0, 0]]}, {"points": [[square["x"] + 1]]}, {"points": [[square["x"] + 1, square["y"] + 1]] * 2001}, {"points": "x"}, {"slide": "nobody"},
                   {"status": "maybe"}, {"note": "n" * 501}, {"side_microns": 49}, {"side_microns": None}):
        refused(service, "POST", "/api/squares/reading", {**reading, **change})
    for wanted in ({"count": 0}, {"count": 10**9}, {"count": 5, "model": "../../etc"}, {"count": "x"}, {}):
        refused(service, "POST", "/api/squares/propose", wanted)
    for name in ("", ".", "..", "../x", "a/b", "x" * 61, "small", "a\u0000b", None):
        refused(service, "POST", "/api/train", {"model": name})
    for path in ("/api/models/nobody", "/api/models/..%2f..%2fetc", "/api/models/nobody/preview.png"):
        refused(service, "GET", path)

    for polygon in ("", "1,2", "1,2,3,4", "1,2,3,4,5", "nan,0,1,1,2,2", "1e300,0,1,1,2,2", "1,2,3,4,5,6,x,8"):
        refused(service, "GET", f"/api/slides/{slide}/area?polygon={polygon}")
    mark = {"kind": "missing", "points": [[1, 1]], "by": "x"}
    for change in ({"kind": "other"}, {"points": []}, {"points": [[1, 1], [2, 2]]}, {"points": [["a", 1]]}, {"points": [[1e300, 0]]}, {"by": ""}, {"kind": "region"}, {"kind": "region", "points": [[1, 1]] * 10001}, {"note": "n" * 501}):
        refused(service, "POST", f"/api/slides/{slide}/annotations", {**mark, **change})
    assert service.request("DELETE", "/api/annotations/999")[0] == 404

    # SQL by every route known.
    for sql in ("DELETE FROM cell", "WITH x AS (SELECT 1) DELETE FROM cell RETURNING id", "UPDATE cell SET area_um2 = 0", "INSERT INTO job (model) VALUES ('x') RETURNING id",
                "ATTACH '/tmp/evil.sqlite' AS evil", "PRAGMA journal_mode = OFF", "PRAGMA writable_schema = 1", "SELECT load_extension('/tmp/x')", "SELECT 1; DELETE FROM cell",
                "SELECT 1;;;DELETE FROM cell", "VACUUM INTO '/tmp/evil.sqlite'", "CREATE TEMP TABLE t (x)", "SELECT readfile('/etc/passwd')", "SELECT writefile('/tmp/evil', 'x')",
                "BEGIN IMMEDIATE", "DROP VIEW slide_summary", "REPLACE INTO model (id) VALUES (1)", "", ";", "x" * 200_000):
        refused(service, "POST", "/api/query", {"sql": sql})
    # Views within views double what the compiler makes of them; it is stopped before the memory is gone.
    doubling = "WITH a0 AS (SELECT 1 AS x)" + "".join(f", a{i} AS (SELECT p.x FROM a{i - 1} p, a{i - 1} q)" for i in range(1, 25)) + " SELECT COUNT(*) FROM a24"
    status, _, _ = service.request("POST", "/api/query", {"sql": doubling})
    assert status in (400, 503) and service.memory() < 2000, (status, service.memory())
    assert not os.path.exists("/tmp/evil.sqlite") and not os.path.exists("/tmp/evil")
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
    start = time.time()
    refused(service, "POST", "/api/query", {"sql": endless})
    assert 4 < time.time() - start < 15
    # Clients that go away take their queries with them: three endless ones would hold both threads for longer than this.
    body = json.dumps({"sql": endless}).encode()
    for _ in range(4):
        with socket.create_connection(("127.0.0.1", service.port)) as s:
            s.sendall(b"POST /api/query HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (service.port, len(body)) + body)
            time.sleep(0.2)
    # And at every moment of their processes' lives.
    for index in range(60):
        with socket.create_connection(("127.0.0.1", service.port)) as s:
            s.sendall(b"POST /api/query HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (service.port, len(body)) + body)
            time.sleep(index * 0.0005)
    start = time.time()
    service.post("/api/query", {"sql": "SELECT 1"})
    assert time.time() - start < 4, "cancelled with the connection"

    # Sizes.
    big = b"x" * (100 << 20)
    for path in ("/api/query", "/api/predict", "/api/jobs", "/api/squares/reading"):
        status = None
        try:
            status, _, data = service.request("POST", path, big, {"Content-Type": "application/json"})
        except (ConnectionResetError, BrokenPipeError):
            pass  # It closed the connection before all was sent.
        assert status in (None, 413, 400), status
    assert service.raw(b"POST /api/query HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n" % service.port) == 413
    flood = b"".join(b"X-%d: y\r\n" % i for i in range(5000))
    assert service.raw(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % service.port + flood + b"\r\n") in (None, 400, 431)
    assert service.raw(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX: " % service.port + b"y" * 200_000 + b"\r\n\r\n") in (None, 400, 431)
    assert service.raw(b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n") in (None, 400, 404, 414, 421, 431)
    assert service.raw(b"\x16\x03\x01 nonsense\r\n\r\n") in (None, 400)
    refused(service, "POST", "/api/jobs", {"slides": [slide] * 20_000, "model": "small"})
    for job in ({"slides": [], "model": "small"}, {"slides": [slide], "model": "../models/small"}, {"slides": ["x"], "model": "small"}, {"slides": [slide, slide], "model": "small"}, {"slides": slide}):
        refused(service, "POST", "/api/jobs", job)
    for field in ("threshold", "mpp", "Model"):
        refused(service, "POST", "/api/jobs", {"slides": [slide], "model": "small", field: 1}, statuses=(400,))
    refused(service, "DELETE", "/api/jobs/1")
    refused(service, "GET", "/api/jobs/999999999999999999999999")

    # Who asks.
    for host in ("evil.example", "evil.example:80", f"127.0.0.1.evil.example:{service.port}", "", "169.254.169.254"):
        refused(service, "GET", "/api/slides", headers={"Host": host}, statuses=(400, 421))
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{service.port}", f"http://127.0.0.1:{service.port}.evil.example", f"http://localhost:{service.port}"):
        refused(service, "POST", "/api/query", {"sql": "SELECT 1"}, {"Origin": origin}, statuses=(403,))
        refused(service, "DELETE", "/api/jobs/1", None, {"Origin": origin}, statuses=(403,))
    service.post("/api/query", {"sql": "SELECT 1"}, headers={"Origin": service.base})
    refused(service, "GET", "/api/slides", headers={"Sec-Fetch-Site": "cross-site"}, statuses=(403,))
    # A foreign page's form cannot send JSON.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        refused(service, "POST", "/api/query", '{"sql":"SELECT 1"}', {"Content-Type": kind}, statuses=(415,))
    for method in ("PUT", "PATCH", "TRACE", "OPTIONS", "BREW"):
        refused(service, method, "/api/query", sentence=False)

    # Slow and idle clients hold up nobody.
    idle = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(200)]
    for s in idle[:100]:
        s.sendall(b"GET /api/slides HTTP/1.1\r\nHo")
    start = time.time()
    for _ in range(20):
        service.get("/healthz")
        service.get(f"/slides/{slide}_files/9/0_0.jpeg")
    assert time.time() - start < 5
    for s in idle:
        s.close()

    assert service.process.poll() is None
    assert service.post("/api/query", {"sql": "SELECT COUNT(*) FROM cell"})["rows"] == cells
    assert before == {name: hashlib.sha256(open(f"{folder}/slides/{name}", "rb").read()).hexdigest() for name in os.listdir(f"{folder}/slides")}
    assert service.end() == 0

# With a token.
token = "0123456789abcdef0123456789abcdef"
open(f"{folder}/token", "w").write(token + "\n")
with Service(program, folder, "--token-file", f"{folder}/token") as service:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {token}x"}, {"Authorization": f"Bearer {token[:-1]}"}, {"Authorization": f"Basic {token}"},
                    {"Cookie": "graticule=wrong"}, {"Cookie": f"other={token}"}, {"Authorization": "Bearer "}):
        for path in ("/api/slides", "/metrics", "/api/openapi.json", "/viewer/slide.js", "/slides/x.dzi"):
            refused(service, "GET", path, headers=headers, statuses=(401,))
    assert service.request("GET", "/healthz")[0] == 200
    assert service.request("GET", "/", headers={"Accept": "text/html"})[0] == 303
    assert service.request("GET", "/login")[0] == 200
    assert service.request("GET", "/api/slides", headers={"Authorization": f"Bearer {token}"})[0] == 200
    status, headers, _ = service.request("POST", "/login", "token=wrong", {"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 303 and "Set-Cookie" not in headers
    status, headers, _ = service.request("POST", "/login", f"token={token}", {"Content-Type": "application/x-www-form-urlencoded"})
    cookie = headers["Set-Cookie"]
    assert status == 303 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    session = {"Cookie": cookie.split(";")[0]}
    assert token not in cookie, "a cookie holds no token"
    assert service.request("GET", "/api/slides", headers=session)[0] == 200
    assert service.request("GET", "/api/slides", headers={"Cookie": f"graticule={token}"})[0] == 401
    _, headers, _ = service.request("POST", "/login", f"token={token}", {"Content-Type": "application/x-www-form-urlencoded"})
    other = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    assert other != session, "each login is a session of its own"
    status, headers, _ = service.request("POST", "/logout", {}, session)
    assert status in (200, 204, 303) and "Max-Age=0" in headers["Set-Cookie"], (status, headers)
    assert service.request("GET", "/api/slides", headers=session)[0] == 401, "logged out"
    assert service.request("GET", "/api/slides", headers=other)[0] == 200
    # Wrong tokens are slowed down, and somebody reads of them.
    statuses = [service.request("POST", "/login", "token=wrong", {"Content-Type": "application/x-www-form-urlencoded"})[0] for _ in range(8)]
    assert statuses[0] == 303 and statuses[-1] == 429, statuses
    assert service.request("GET", "/api/slides", headers=other)[0] == 200, "who is logged in stays so"
    assert "wrong token" in open(service.log.name).read()
    assert service.end() == 0
