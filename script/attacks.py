"""script/load --attacks: what must not hold up the service. Each attack goes on while tiles of another slide are asked for, and while
the service is told to end; then the service is started anew."""
import http.client, json, multiprocessing, os, re, resource, select, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time

# The bounds.
MOST_MILLISECONDS, MOST_END_SECONDS, MOST_STOP_SECONDS, MOST_LOGINS_A_SECOND = 1000, 5, 10, 2
TILES, TILE_PAUSE, SETTLE = 10, 0.4, 2
# How long a tile and an end are waited for at all.
TILE_PATIENCE, END_PATIENCE = 10, 15
TOKEN = "a-token-of-the-load-script-0123456789"


def note(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, path, method="GET", body=None, headers=None, timeout=TILE_PATIENCE):
    """Status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


FAILURES = (OSError, http.client.HTTPException)


class Service:
    """`serve` on a folder of slides, with its own results file."""
    def __init__(self, program, folder, slides, token=None):
        self.results, self.token, self.port = f"{folder}/results.sqlite", token, free_port()
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        command = [program, "serve", self.results, "--slides", slides, "--listen", f"127.0.0.1:{self.port}"]
        if token:
            open(f"{folder}/token", "w").write(token + "\n")
            command += ["--token-file", f"{folder}/token"]
        self.errors = open(f"{folder}/stderr", "w+b")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors)
        # It says so when it takes connections; one that never does must not hold this script up.
        if not select.select([self.process.stdout], [], [], 60)[0] or not self.process.stdout.readline():
            self.kill()
            raise RuntimeError(f"the service did not start: {self.said()}")

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def memory(self):
        try:
            return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read()).group(1)) / 1024
        except (OSError, AttributeError):
            return 0

    def json(self, path, timeout=TILE_PATIENCE):
        return json.loads(ask(self.port, path, headers=self.headers, timeout=timeout)[1])

    def tiles(self, name):
        """Tiles of a slide from 256 px up. Each is asked for once: a second time it would come from the cache."""
        slide = next(s for s in self.json("/api/slides") if s["name"] == name)
        detail, found = self.json(f"/api/slides/{slide['id']}"), []
        for level in range(detail["levels"] - 1, 7, -1):
            step = 2 ** (detail["levels"] - 1 - level)
            columns, rows = (-(-side // (256 * step)) for side in (detail["width"], detail["height"]))
            found += [f"/slides/{slide['id']}_files/{level}/{c}_{r}.jpeg" for r in range(rows) for c in range(columns)]
        return found

    def end(self):
        """Seconds from SIGTERM to the end; None where it does not come in time."""
        start = time.time()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_PATIENCE)
            return time.time() - start
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


# ---- attacks: each runs in a process of its own until it is killed, and counts in `done` what it has done

def in_threads(count, body):
    """`body(number)` over and over in threads, whatever the service does to it."""
    def loop(number):
        while True:
            try:
                body(number)
            except FAILURES:
                time.sleep(0.05)
    threads = [threading.Thread(target=loop, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def count(done, by=1):
    with done.get_lock():
        done.value += by


def query_body(sql):
    return json.dumps({"sql": sql}).encode()


def post_query(port, sql):
    return ask(port, "/api/query", "POST", query_body(sql), {"Content-Type": "application/json"}, timeout=60)


NUMBERS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000000000) "
LONG_QUERY = NUMBERS + "SELECT COUNT(*) FROM c"
# Values have a limit of their own, so what takes most is what is gathered from many.
LARGE_QUERIES = [
    NUMBERS + "SELECT json_group_array(hex(randomblob(50))) FROM c",
    NUMBERS.replace("1000000000", "10000") + "SELECT x, printf('%.*c', 200000, 'x') AS y FROM c ORDER BY x DESC",
    NUMBERS + "SELECT json_group_object(x, hex(randomblob(500))) FROM c",
    NUMBERS.replace("1000000000", "4000") + "SELECT SUM(length(printf('%.*c', 250000, 'x'))) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED "
    "PRECEDING AND UNBOUNDED FOLLOWING), printf('%.*c', 250000, 'x') FROM c",
    NUMBERS + "SELECT COUNT(DISTINCT hex(randomblob(1000))) FROM c",
    NUMBERS + "SELECT group_concat(x) FROM c",
]


def large_values(service, done):
    def body(number):
        post_query(service.port, "SELECT printf('%.*c',1000000000,'x')")
        count(done)
    in_threads(4, body)


def large_queries(service, done):
    turn = [0]

    def body(number):
        turn[0] += 1
        post_query(service.port, LARGE_QUERIES[(turn[0] + number) % len(LARGE_QUERIES)])
        count(done)
    in_threads(4, body)


def gone_clients(service, done):
    """Half close, half reset: the service learns of these in different ways."""
    body_ = query_body(LONG_QUERY)
    head = (f"POST /api/query HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body_)}\r\n\r\n").encode()

    def body(number):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as s:
            s.sendall(head + body_)
            if number % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        count(done)
        time.sleep(1)
    in_threads(50, body)


def kept_open(service, number, done, opening, each_second):
    """`number` connections that begin with `opening` and then send what `each_second` says; who is thrown out comes back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    sockets = []
    while True:
        start = time.time()
        while len(sockets) < number and time.time() - start < 1:
            try:
                s = socket.create_connection(("127.0.0.1", service.port), timeout=1)
                s.sendall(opening(len(sockets)))
                s.setblocking(False)
                sockets.append(s)
            except OSError:
                break
        done.value = max(done.value, len(sockets))
        sockets = [s for s in sockets if is_open(s, each_second)]
        time.sleep(max(0, 1 - (time.time() - start)))


def is_open(s, text):
    try:
        if text:
            s.send(text)
        if s.recv(65536):
            return True
    except BlockingIOError:
        return True
    except OSError:
        pass
    s.close()
    return False


def half_heads(service, done):
    kept_open(service, 1030, done, lambda n: b"GET /api/slides HTTP/1.1\r\nHost: 127.0", b"")


def slow_bodies(service, done):
    def opening(number):
        path, type_ = [("/api/query", "application/json"), ("/api/jobs", "application/json"),
                       ("/login", "application/x-www-form-urlencoded")][number % 3]
        return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nContent-Type: {type_}\r\nContent-Length: 1000\r\n\r\n").encode()
    kept_open(service, 300, done, opening, b" ")


def dead_slides(service, done, ids):
    paths = [path for id_ in ids for path in (f"/slides/{id_}_files/10/0_0.jpeg", f"/slides/{id_}.dzi", f"/api/slides/{id_}",
                                              f"/slides/{id_}_files/8/0_0.jpeg")]

    def body(number):
        ask(service.port, paths[number % len(paths)], timeout=30)
        count(done)
        time.sleep(0.1)
    # Whoever waits counts as well: that is how a pipe that nobody writes to shows.
    count(done)
    in_threads(16, body)


def wrong_logins(service, done):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    def body(number):
        status, _ = ask(service.port, "/login", "POST", f"token=wrong-token-{number}-{done.value}", headers, timeout=60)
        # Turned away unread is as good as slow.
        if status not in (429, 503):
            count(done)
        else:
            time.sleep(0.2)
    in_threads(10, body)


# ---- measuring

def tile_times(service, paths, pause=TILE_PAUSE, until=None):
    """Milliseconds of each tile; infinite where none came. Ends early where several do not come: it will not get better."""
    found = []
    for path in paths[:TILES]:
        if service.process.poll() is not None or (until and time.time() > until):
            break
        start = time.time()
        try:
            status, body = ask(service.port, path, headers=service.headers)
            found.append(1000 * (time.time() - start) if status == 200 and body[:2] == b"\xff\xd8" else float("inf"))
        except FAILURES:
            found.append(float("inf"))
        if found.count(float("inf")) >= 3:
            break
        time.sleep(pause)
    return found


class Verdict:
    def __init__(self, title):
        self.title, self.tile, self.memory, self.end, self.met, self.missed = title, "–", 0, "–", [], []

    def judge(self, is_met, met, missed=None):
        (self.met if is_met else self.missed).append(met if is_met else missed or met)

    def row(self):
        said = "; ".join([f"**missed: {m}**" for m in self.missed] + self.met)
        return f"| {self.title} | {self.tile} | {self.memory:.0f} | {self.end} | {said} |"


def judge_tiles(verdict, times):
    lost = times.count(float("inf"))
    answered = [t for t in times if t != float("inf")]
    verdict.tile = (f"{max(answered):.0f}" if answered else "none") + (f", {lost} of {len(times)} unanswered" if lost else "")
    verdict.judge(bool(times) and not lost and max(times) <= MOST_MILLISECONDS, "tiles", "a tile within 1 s")


def judge_end(verdict, service):
    seconds = service.end()
    verdict.end = f"{seconds:.1f}" if seconds is not None else f"> {END_PATIENCE}"
    verdict.judge(seconds is not None and seconds <= MOST_END_SECONDS, "end", f"the end within {MOST_END_SECONDS} s of SIGTERM")
    if seconds is not None and service.process.returncode < 0:
        verdict.judge(False, f"ended by signal {signal.Signals(-service.process.returncode).name}")


def under_attack(verdict, service, attack, more=None):
    """One attack from beginning to end. `more` judges what is special to it, while it goes on."""
    paths = service.tiles("phantom-2")
    done = multiprocessing.Value("l", 0)
    process = multiprocessing.Process(target=attack, args=(service, done), daemon=True)
    start = time.time()
    process.start()
    try:
        time.sleep(SETTLE)
        judge_tiles(verdict, tile_times(service, paths))
        verdict.memory = service.memory()
        if service.process.poll() is not None:
            verdict.judge(False, f"the service died with status {service.process.returncode} under it: {service.said()[-200:].strip()}")
            return
        if more:
            more(verdict, service, done.value, time.time() - start)
        if not process.is_alive():
            raise RuntimeError(f"the attack '{verdict.title}' ended by itself: the script itself failed")
        judge_end(verdict, service)
    finally:
        process.kill()
        process.join()


def judge_ran(what):
    def judge(verdict, service, done, seconds):
        verdict.met.append(f"({done} {what})")
    return judge


def judge_logins(verdict, service, done, seconds):
    verdict.judge(done / seconds <= MOST_LOGINS_A_SECOND, f"{done} wrong logins judged in {seconds:.0f} s",
                  f"{done} wrong logins judged in {seconds:.0f} s, at most {MOST_LOGINS_A_SECOND} a second")


def judge_hidden(ids, names):
    """Neither listed nor served, and that said within the time of a tile."""
    def judge(verdict, service, done, seconds):
        try:
            listed = [s["name"] for s in service.json("/api/slides", timeout=TILE_PATIENCE)]
        except (*FAILURES, ValueError):
            verdict.judge(False, "the list of slides does not come")
            return
        for name in names:
            verdict.judge(name not in listed, f"{name} not listed", f"{name} is listed")
        for name, id_ in ids.items():
            statuses = []
            for path in (f"/slides/{id_}_files/9/0_0.jpeg", f"/slides/{id_}.dzi", f"/api/slides/{id_}"):
                try:
                    statuses.append(ask(service.port, path, timeout=2)[0])
                except FAILURES:
                    statuses.append("none")
            verdict.judge(not {200, "none"} & set(statuses), f"{name} not served",
                          f"{name} not to be served (answers {', '.join(map(str, statuses))})")
    return judge


def without_results(verdict, service, change):
    """The results file goes: the service must say so and end by itself, asked for nothing but tiles."""
    paths, start = service.tiles("phantom-2"), time.time()
    change(service.results)
    times = tile_times(service, paths, until=start + MOST_STOP_SECONDS)
    while service.process.poll() is None and time.time() - start < MOST_STOP_SECONDS:
        time.sleep(0.05)
    verdict.memory = service.memory()
    status, seconds = service.process.poll(), time.time() - start
    if status is not None and times and times[-1] == float("inf"):
        # Asked for in the moment of the end.
        times.pop()
    if times:
        judge_tiles(verdict, times)
    if status is None:
        verdict.judge(False, f"to stop by itself within {MOST_STOP_SECONDS} s")
        judge_end(verdict, service)
        return
    verdict.judge(status != 0, f"stopped by itself after {seconds:.1f} s, status {status}", "a status other than 0")
    if status < 0:
        verdict.judge(False, f"ended by signal {signal.Signals(-status).name}")
    verdict.judge("results.sqlite" in service.said(), "file named", "the file named on stderr")


# ---- the whole

def make_slides(program, work):
    """Three small phantoms, kept for the next time."""
    made = f"{work}/attack-slides"
    if not os.path.exists(f"{made}/phantom-3.svs"):
        note("making phantoms …")
        subprocess.run([program, "phantom", "--output", made, "--slides", "3", "--size", "1500", "--seed", "9"], check=True, capture_output=True)
    return made


class Stage:
    """A folder for each attack: slides, results, and nothing of the attack before."""
    def __init__(self, program, made, folder):
        self.program, self.made, self.folder, self.number = program, made, folder, 0

    def service(self, token=None, prepare=None):
        """A fresh service; `prepare` may change its slides beforehand."""
        self.number += 1
        place = f"{self.folder}/{self.number}"
        os.makedirs(f"{place}/slides")
        for i in (1, 2, 3):
            shutil.copy(f"{self.made}/phantom-{i}.svs", f"{place}/slides")
        if prepare:
            prepare(place)
        return Service(self.program, place, f"{place}/slides", token)


HIDDEN = ["dead", "outside", "beyond"]


def with_real_slides(place):
    """Sound slides under the names of the traps: a service that lists them tells their identifiers."""
    os.makedirs(f"{place}/slides/folder")
    for name in ("dead", "outside", "folder/beyond"):
        shutil.copy(f"{place}/slides/phantom-3.svs", f"{place}/slides/{name}.svs")


def with_traps(place):
    os.mkfifo(f"{place}/slides/dead.svs")
    os.makedirs(f"{place}/elsewhere")
    shutil.copy(f"{place}/slides/phantom-3.svs", f"{place}/elsewhere/outside.svs")
    shutil.copy(f"{place}/slides/phantom-3.svs", f"{place}/elsewhere/beyond.svs")
    os.symlink(f"{place}/elsewhere/outside.svs", f"{place}/slides/outside.svs")
    os.symlink(f"{place}/elsewhere", f"{place}/slides/folder")


def trap_identifiers(stage):
    service = stage.service(prepare=with_real_slides)
    try:
        return {s["name"]: s["id"] for s in service.json("/api/slides") if s["name"] in HIDDEN}
    finally:
        service.end()
        service.kill()


def replace(results):
    """Another sound results file takes its place, as `mv` or a copy by rsync would do it."""
    shutil.copy(results, results + ".other")
    os.replace(results + ".other", results)


def attack_all(stage):
    """(title, how to start the service, what is done to it) of every attack."""
    ids = trap_identifiers(stage)

    def plain(attack, more=None):
        return lambda verdict, service: under_attack(verdict, service, attack, more)
    return [
        ("a value of 1 GB, asked for by 4 clients over and over", {}, plain(large_values, judge_ran("queries answered"))),
        ("queries that take all the memory they can, 4 clients", {}, plain(large_queries, judge_ran("queries answered"))),
        ("50 clients that send a long query and go away, each second", {}, plain(gone_clients, judge_ran("queries sent"))),
        ("1,030 connections that send half a head", {}, plain(half_heads, judge_ran("open at once"))),
        ("300 connections that send a body byte by byte", {}, plain(slow_bodies, judge_ran("open at once"))),
        ("a pipe `dead.svs`, links to a slide and a folder outside", {"prepare": with_traps},
         plain(lambda service, done: dead_slides(service, done, list(ids.values())), judge_hidden(ids, HIDDEN))),
        ("the results file deleted", {}, lambda verdict, service: without_results(verdict, service, os.remove)),
        ("the results file replaced", {}, lambda verdict, service: without_results(verdict, service, replace)),
        ("wrong logins, 10 at once", {"token": TOKEN}, plain(wrong_logins, judge_logins)),
    ]


def main(program, work):
    made, folder, verdicts = make_slides(program, work), tempfile.mkdtemp(prefix="graticule-attacks-"), []
    try:
        stage = Stage(program, made, folder)
        for title, options, attack in attack_all(stage):
            note(f"{title} …")
            verdict, service = Verdict(title), None
            try:
                service = stage.service(**options)
                attack(verdict, service)
            except (RuntimeError, StopIteration, ValueError, *FAILURES) as error:
                verdict.judge(False, f"could not be tried: {error!r}")
            finally:
                if service:
                    service.kill()
            verdicts.append(verdict)
            note(verdict.row())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"`script/load --attacks`: each attack goes on while {TILES} tiles of another slide are asked for, and while SIGTERM ends the "
          f"service.\n\n| attack | worst tile ms | largest memory MB | s to end | met or missed |\n|---|---|---|---|---|")
    for verdict in verdicts:
        print(verdict.row())
    missed = sum(bool(v.missed) for v in verdicts)
    print(f"\n{len(verdicts) - missed} of {len(verdicts)} attacks withstood.")
    return 1 if missed else 0
