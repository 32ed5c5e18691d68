"""Starts the service and talks to it: what the other scripts share."""
import http.client, json, os, re, signal, socket, subprocess, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Service:
    def __init__(self, program, folder, *extra, port=None, slides=None, plain=False, maps=None):
        """plain: with slides alone, as who has nothing else starts it. maps: a folder of land instead of results and slides."""
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log = open(os.path.join(folder, "service.log"), "a+")
        what = ["--maps", maps] if maps else [
            os.path.join(folder, "results.sqlite"), "--slides", slides or os.path.join(folder, "slides"),
            *([] if plain else ["--models", os.path.join(folder, "models"), "--heatmaps", os.path.join(folder, "heatmaps")])]
        self.process = subprocess.Popen(
            [program, "serve", *what, "--listen", f"127.0.0.1:{self.port}", *extra], stdout=subprocess.PIPE, stderr=self.log,
            text=True)
        line = self.process.stdout.readline()
        assert self.base in line, f"the service did not start: {line} {open(self.log.name).read()}"

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, response.headers, data

    def get(self, path, **options):
        status, headers, data = self.request("GET", path, **options)
        assert status == 200, f"GET {path}: {status} {data[:300]}"
        return json.loads(data) if "json" in headers.get("Content-Type", "") else data

    def post(self, path, body, expect=200, **options):
        status, _, data = self.request("POST", path, body, **options)
        assert status == expect, f"POST {path}: {status} {data[:300]}"
        return json.loads(data)

    def slide(self, name):
        return next(s["id"] for s in self.get("/api/slides") if s["name"] == name)

    def raw(self, data, timeout=10):
        """Bytes as they are, and the first line that comes back; None where the connection is closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            try:
                s.sendall(data)
                answer = s.recv(4096)
            except (ConnectionResetError, BrokenPipeError):
                return None
        return int(re.match(rb"HTTP/1.1 (\d+)", answer).group(1)) if answer else None

    def memory(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read()).group(1)) / 1024

    def end(self, how=signal.SIGTERM, timeout=60):
        self.process.send_signal(how)
        self.process.wait(timeout)
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def wait_for(condition, seconds=60, what="it"):
    end = time.time() + seconds
    while time.time() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")
