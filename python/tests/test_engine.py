"""What runs inside engines, without one. `tests/cluster` has the engines themselves."""

import http.server
import os
import pathlib
import shutil
import signal
import threading

import pytest

from classify_video import ClipError, Model
from conftest import FAST, workers

pyarrow = pytest.importorskip("pyarrow")
engine = pytest.importorskip("classify_video._engine")


@pytest.fixture(scope="module")
def tables():
    return engine.Tables(FAST, 1, {})


def paths(*clips):
    return pyarrow.table({"path": [None if clip is None else str(clip) for clip in clips]})


def test_rows_are_those_of_a_model_and_broken_clips_among_them(tables, model, samples, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(pathlib.Path(samples[2]).read_bytes()[:100_000])
    os.mkfifo(tmp_path / "pipe.mp4")
    odd = [broken, None, cut, tmp_path, tmp_path / "pipe.mp4", tmp_path / "missing.mp4", "no\0name", broken / "a.mp4"]
    table = paths(*samples, *odd, *samples)
    assert tables.label(table).equals(model.label(table))
    content = pyarrow.array([open(samples[0], "rb").read(), b"broken"])
    table = pyarrow.table({"path": ["a.mp4", "b.mp4"], "bytes": content})
    assert tables.label(table).equals(model.label(table))


def test_addresses_of_files_are_paths(tables, samples, tmp_path):
    clip = tmp_path / "a b%20.mp4"
    shutil.copy(samples[2], clip)
    addresses = [f"file:{clip}", f"file://{clip}"]
    answer = tables.label(paths(*addresses, clip)).to_pylist()
    assert [row["path"] for row in answer] == [*addresses, str(clip)]
    assert [row["error"] for row in answer] == [None] * 3


def test_what_may_go_well_elsewhere_is_raised(tables, samples, tmp_path):
    # Its size is none, and reading it fails even for root.
    with pytest.raises(OSError, match="/proc/self/mem") as raised:
        tables.label(paths(samples[0], "/proc/self/mem"))
    assert raised.value.filename == "/proc/self/mem"
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"no video" * 100)
    secret.chmod(0)
    tables.label(paths(samples[2]))
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="mp4"):
            tables.label(paths(samples[2], secret))
    finally:
        if root:
            os.seteuid(0)
    assert tables.label(paths(samples[2]))["error"].to_pylist() == [None]


@pytest.fixture
def store(samples):
    """A web server that has `clip.mp4`, and `signed.mp4` with a query, of which it gives parts; has no `gone.mp4`, and refuses all else."""
    clip = pathlib.Path(samples[0]).read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            there = self.path in ("/clip.mp4", "/signed.mp4?sig=1", "/signed.mp4?sig=2")
            if there and self.headers["Range"]:
                first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
                content = clip[first : last + 1]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{len(clip)}")
            else:
                content = b""
                self.send_response(200 if there else 404 if self.path == "/gone.mp4" else 403)
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_store_that_refuses_is_raised_and_an_object_that_is_gone_is_a_row(tables, samples, store):
    answer = tables.label(paths(samples[2], f"{store}/gone.mp4")).to_pylist()
    assert answer[0]["label"] and answer[1]["error"] == "the store has no such object"
    with pytest.raises(OSError, match="Errno") as raised:
        tables.label(paths(samples[2], f"{store}/secret.mp4"))
    assert raised.value.filename == f"{store}/secret.mp4" and "credentials" in str(raised.value)
    with pytest.raises(OSError) as raised:
        tables.label(paths(f"{store}/secret.mp4?sig=S1gnature"))
    assert raised.value.filename == f"{store}/secret.mp4" and "S1gnature" not in str(raised.value)


def test_clips_are_read_from_a_store(model, samples, store):
    with pytest.raises(ClipError, match="/secret.mp4: the store refuses it") as raised:
        model.classify(f"{store}/secret.mp4?sig=S1gnature")
    assert "S1gnature" not in str(raised.value)
    assert model.classify(f"{store}/clip.mp4").labels == model.classify(samples[0]).labels
    # Signed anew it is the same clip.
    for query in "12":
        assert model.classify(f"{store}/signed.mp4?sig={query}").labels == model.classify(samples[0]).labels


def test_an_end_too_early_may_be_one_of_reading(tables, samples, tmp_path, monkeypatch):
    cut = tmp_path / "cut.mp4"
    # Its index comes first, so that it can be labelled.
    cut.write_bytes(pathlib.Path(samples[2]).read_bytes()[:60_000])
    answer = tables.label(paths(cut)).to_pylist()
    assert answer[0]["label"] and "truncated" in answer[0]["warnings"][0]

    def fails(path):
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(engine, "read_through", fails)
    tables.label(paths(*samples))
    with pytest.raises(OSError, match="cut.mp4"):
        tables.label(paths(samples[0], cut))


def test_a_worker_killed_in_a_clip_costs_nothing(samples):
    own, others = engine.Tables("kinetics400-i3d", 1, {}), set(workers())
    expected = own.label(paths(samples[0]))
    [worker] = set(workers()) - others
    threading.Timer(0.1, os.kill, [worker, signal.SIGKILL]).start()
    assert own.label(paths(samples[0])).equals(expected)
    assert worker not in workers()


def test_a_clip_that_takes_too_long_is_given_up_once(samples, monkeypatch):
    own = engine.Tables("kinetics400-i3d", 1, {"timeout": 0.05})
    monkeypatch.setattr(engine, "read_through", lambda path: pytest.fail("it is looked at once more"))
    assert own.label(paths(samples[0]))["error"].to_pylist()[0].startswith("not done within")


def test_settings_are_checked_at_once():
    with pytest.raises(TypeError, match="no_such"):
        engine.Tables(FAST, 1, {"no_such": 1})
    assert isinstance(engine.Tables(FAST, 1, {"top": 1})._model, Model)
