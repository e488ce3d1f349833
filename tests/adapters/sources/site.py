"""A web server on this machine that serves files, or misbehaves at the paths that a test names."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server answers, by path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.replies: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.closing = threading.Event()
        """Set when the test is over: what hangs on purpose waits for this."""
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        self.headers.append(dict(request.headers))
        if request.path in self.replies:
            self.replies[request.path](request)
        elif request.path in self.files:
            send(request, 200, self.files[request.path])
        else:
            send(request, 404)


def send(request: BaseHTTPRequestHandler, status: int, content: bytes = b"", **headers: object) -> None:
    """A whole response; a header `Content_Length` replaces the true one."""
    request.send_response(status)
    for name, value in ({"Content_Length": len(content)} | headers).items():
        request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)


@contextmanager
def serve() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.answer(self)

        def do_HEAD(self) -> None:
            site.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # clients leave early on purpose

    with Server(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.closing.set()
            server.shutdown()
            thread.join(10)
