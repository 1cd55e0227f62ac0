"""Files, folders, globs and wrappers; lines that are torn, foreign or long."""

from __future__ import annotations

import gzip
import json
import os
import sys
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs.cli.reading import blocks
from pantheon_obs.cli.reading.files import find, service_of
from pantheon_obs.cli.reading.lines import Reader
from tests.cli.incidents import TRACE
from tests.cli.written import line, request, save
from tests.support.server import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

OURS = json.dumps(line(0))


def story(run: Run, *files: str | Path) -> dict[str, Any]:
    """Tell the story of the trace."""
    result = run("story", TRACE, *files, "--json")
    assert 0 == result.code, result.err
    document: dict[str, Any] = json.loads(result.out)
    return document


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("/logs/shop.log.2.gz", "shop"),
        ("/logs/shop.log", "shop"),
        ("shop", "shop"),
        ("shop.jsonl.gz", "shop"),
        ("shop.log-20261129", "shop"),
        ("shop.log-20261129.gz", "shop"),
        ("shop.log.2026-11-29", "shop"),
        ("shop.log.2026-11-29_12", "shop"),
        ("shop-2026-11-29.log", "shop"),
        ("shop-2026-11-29T12-30-00.000.log.gz", "shop"),
        ("shop.log-1764452467", "shop"),
        ("0.log.20261129-120000.gz", "0"),
        ("chat-v2.log", "chat-v2"),
        ("-", "-"),
    ],
)
def test_a_file_names_its_service(name: str, service: str) -> None:
    """Folder, rotation and ending are left out."""
    assert service == service_of(name)


def test_rotated_files_are_one_log_the_oldest_first(run: Run, tmp_path: Path) -> None:
    """Lines of equal times stand in the order in which they were written."""
    names = ["shop.log", "shop.log.1", "shop.log.2.gz", "shop.log.10.gz", "shop.log-20261101"]
    for name in names:
        data = json.dumps(line(0, name)).encode() + b"\n"
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    document = story(run, *(tmp_path / name for name in names))

    assert [names[4], names[3], names[2], names[1], names[0]] == [
        row["line"]["event"] for row in document["lines"]
    ]
    assert ["shop"] == document["services"]
    assert 5 == document["read"]["files"]


def test_the_journal_is_read_as_json(run: Run, tmp_path: Path) -> None:
    """So are texts that are not UTF-8 and texts in parts; an entry without a text is foreign."""
    texts = [json.dumps(line(number, f"line {number}")) for number in range(3)]

    def entry(text: Any, **more: Any) -> str:
        named = {"__REALTIME_TIMESTAMP": "1", "MESSAGE": text, "_STREAM_ID": "a", **more}
        return json.dumps(named, separators=(",", ":"))

    log = save(
        tmp_path / "journal.json",
        entry(texts[0]),
        entry(list(texts[1].encode())),
        entry(texts[2][:40], _LINE_BREAK="line-max"),
        entry("a line of another stream", _STREAM_ID="b"),
        entry(texts[2][40:]),
        entry(None),
        entry([300]),
        entry("x")[:-1],
    )

    document = story(run, log)

    assert [1, 2, 3] == [int(row["source"].rpartition(":")[2]) for row in document["lines"]]
    assert "skipped 1 torn and 3 foreign lines" in run("tail", log).err
    whole = save(tmp_path / "whole.json", entry(texts[0]))
    assert [texts[0]] == [json.dumps(row["line"]) for row in story(run, whole)["lines"]]


def test_a_folder_gives_its_files_and_those_of_folders_in_it(run: Run, tmp_path: Path) -> None:
    """Hidden ones are left out, and a file that was found twice is read once."""
    (tmp_path / "pods" / ".git").mkdir(parents=True)
    save(tmp_path / "pods" / "0.log", line(0, "pod"))
    save(tmp_path / "pods" / ".git" / "x.log", line(0, "hidden"))
    save(tmp_path / ".hidden.log", line(0, "hidden"))
    save(tmp_path / "shop.log", line(1, "shop"))

    document = story(run, tmp_path, tmp_path / "shop.log")

    assert ["pod", "shop"] == [row["line"]["event"] for row in document["lines"]]


def test_a_glob_is_expanded_unless_a_file_has_that_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`a[1].log` may be a file."""
    monkeypatch.chdir(tmp_path)
    for name in ("a[1].log", "a1.log", "b.log"):
        save(tmp_path / name, line(0, name))

    for pattern, names in (("a[1].log", ["a[1].log"]), ("a*.log", ["a1.log", "a[1].log"])):
        rows = story(run, pattern)["lines"]
        assert names == sorted(row["line"]["event"] for row in rows)


def test_a_file_that_cannot_be_read_is_reported_beside_the_others(run: Run, tmp_path: Path) -> None:
    """If nothing else is left, the command ends with 2."""
    path = save(tmp_path / "shop.log", line(0))
    os.symlink("/nowhere", tmp_path / "dangling")  # noqa: PTH211
    bad = [tmp_path / "missing.log", tmp_path / "*.txt", tmp_path / "dangling", "/dev/zero"]

    mixed = run("story", TRACE, path, *bad, "--json")
    alone = run("story", TRACE, *bad)

    assert 0 == mixed.code
    assert 4 == len(mixed.err.splitlines())
    assert (2, "", 1) == (alone.code, alone.out, len(alone.err.splitlines()))
    for reason in ("no such file", "no file matches", "No such file", "neither a file nor"):
        assert reason in mixed.err
        assert reason in alone.err


def test_no_permission_is_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and folders that may not be read are named."""
    path = save(tmp_path / "shop.log", line(0))
    monkeypatch.setattr(os, "access", lambda *_: False)

    assert f"pantheon-obs: {path}: no permission to read it\n" == run("story", TRACE, path).err

    def walk(top: str, onerror: Any) -> list[Any]:
        onerror(PermissionError(13, "Permission denied", top))
        return []

    monkeypatch.setattr(os, "walk", walk)
    assert f"pantheon-obs: {tmp_path}: Permission denied\n" == run("story", TRACE, tmp_path).err


def test_a_file_that_fails_while_it_is_read_is_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other files are read."""
    path = save(tmp_path / "shop.log", line(0))
    gone = save(tmp_path / "gone.log", line(0))
    sources = find([str(gone), "/proc/self/mem", str(path)])
    gone.unlink()

    reader = Reader(sources)
    assert ["hello"] == [found.fields["event"] for found in reader.lines()]
    assert "pantheon-obs: /proc/self/mem: Input/output error\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "foreign", "torn"),
    [
        pytest.param(b"", 0, 0, id="empty"),
        pytest.param(b"\n \r\n\t\n", 0, 0, id="blank"),
        pytest.param(os.urandom(1 << 16).replace(b"{", b"") + b"\x80", None, 0, id="binary"),
        pytest.param(b"INFO: " + OURS.encode(), 1, 0, id="text in front"),
        pytest.param(OURS[:-1].encode(), 0, 1, id="torn"),
        pytest.param(OURS.encode() * 2, 0, 1, id="two on one line"),
        pytest.param(OURS.replace("hello", "\\ud800").encode(), 0, 1, id="lone surrogate"),
        pytest.param(OURS.encode().replace(b"hello", b"\xff"), 0, 1, id="no UTF-8"),
        pytest.param(OURS.replace('"hello"', "NaN").encode(), 0, 1, id="NaN"),
        pytest.param(b"[" * 100_000, 1, 0, id="brackets"),
        pytest.param(b'{"a":' * 100_000, 0, 1, id="deep"),
        pytest.param(OURS[:-1].encode() + b',"a":[' + b"{}," * 1_500_000 + b"0]}", 0, 1, id="wide"),
        pytest.param(b"null\n[]\n7\ntrue", 4, 0, id="other JSON"),
        pytest.param(OURS.replace("-11-29", "-02-30").encode(), 1, 0, id="no day"),
        pytest.param(OURS.replace("07.000000Z", "07Z").encode(), 1, 0, id="another time"),
        pytest.param(OURS.replace("logger", "name").encode(), 1, 0, id="a key is missing"),
        pytest.param(OURS.replace('"info"', "20").encode(), 1, 0, id="a key is no text"),
        pytest.param(b'{"log":"' + OURS[:20].encode(), 0, 1, id="a torn wrapping"),
        pytest.param(b'{"log":1,"stream":"stdout"}', 1, 0, id="no wrapping"),
        pytest.param(b'{"log":"x","stream":"stdout"}', 1, 0, id="a part whose end never comes"),
        pytest.param(b"2026-11-29T21:41:07Z stdout P {", 0, 1, id="a CRI part without an end"),
    ],
)
def test_lines_that_are_not_ours_are_counted(
    tmp_path: Path, content: bytes, foreign: int | None, torn: int
) -> None:
    """Torn lines begin with a brace; blank ones do not count."""
    (tmp_path / "x.log").write_bytes(content)
    reader = Reader(find([str(tmp_path / "x.log")]))

    assert [] == list(reader.lines())

    count = content.count(b"\n") + (content[-1:] not in (b"", b"\n"))
    blank = [row for row in content.split(b"\n") if not row.strip()]
    expected = count - len([*blank][:count]) if foreign is None else foreign
    assert {"files": 1, "lines": count, "foreign": expected, "torn": torn} == reader.read


@pytest.mark.parametrize(
    "prefix",
    [
        "\ufeff",
        "  ",
        "web-1  | ",
        "web-1  | 2026-11-29T21:41:07.123456789Z ",
        "\x1b[36mweb-1  |\x1b[0m ",
        "2026-11-29T21:41:07Z ",
        "[pod/shop-1/web] 2026-11-29T21:41:07.1Z ",
        "shop-5d9c web ",
        "prod shop-5d9c web ",
        "2026-11-29T21:41:07.123Z stderr F ",
        "Nov 29 21:41:07 host shop[12]: ",
        "Nov  9 21:41:07 host shop[12]: @cee: ",
        "<14>Nov 29 21:41:07 shop: ",
        "2026-11-29T21:41:07.123456+0100 host shop[12]: ",
        "<14>1 2026-11-29T21:41:07Z host shop 12 ID47 - ",
        '<14>1 - host shop 12 ID47 [a b="]"][c] \ufeff',
    ],
)
def test_a_prefix_is_taken_off(tmp_path: Path, prefix: str) -> None:
    """The line itself is as it was written."""
    path = save(tmp_path / "x.log", prefix + OURS)

    [found] = Reader(find([str(path)])).lines()

    assert OURS.encode() == found.raw
    assert f"{path}:1" == found.source


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
def test_parts_of_two_streams_are_joined(
    run: Run, tmp_path: Path, separators: tuple[str, str]
) -> None:
    """A line whose id was split is found; it has the number of its first part."""
    out, err = json.dumps(line(0, "out", text="ü")), json.dumps(line(1, "err"))
    middle = out.index(TRACE) + 7

    def wrap(text: str, stream: str) -> str:
        rest = {"stream": stream, "attrs": {"a": "b"}, "time": "2026-11-29T21:41:07.1Z"}
        return json.dumps({"log": text, **rest}, separators=separators)

    path = save(
        tmp_path / "x.log",
        wrap("starting\n", "stdout"),
        wrap(out[:middle], "stdout"),
        wrap(err[:50], "stderr"),
        wrap(out[middle:] + "\n", "stdout"),
        wrap(err[50:] + "\n", "stderr"),
    )

    document = story(run, path)

    assert [(f"{path}:2", "out"), (f"{path}:3", "err")] == [
        (row["source"], row["line"]["event"]) for row in document["lines"]
    ]
    assert {"files": 1, "lines": 5, "foreign": 0, "torn": 0} == document["read"]


def test_parts_go_on_in_the_next_rotated_file_but_not_in_another_log(
    run: Run, tmp_path: Path
) -> None:
    """Two files that differ in rotation are one."""
    head = "2026-11-29T21:41:07Z stdout"
    save(tmp_path / "a.log.1", f"{head} P {OURS[:60]}")
    save(tmp_path / "a.log", f"{head} F {OURS[60:]}", f"{head} P {OURS}")
    save(tmp_path / "b.log", f"{head} F {OURS}", f"{head} P {{")

    document = story(run, tmp_path)

    sources = [f"{tmp_path}/{name}" for name in ("a.log.1:1", "a.log:2", "b.log:1")]
    assert sources == [row["source"] for row in document["lines"]]


def test_a_line_of_ten_megabytes_is_read(run: Run, tmp_path: Path) -> None:
    """Its text is cut where a person reads it, and whole in JSON."""
    long = "x" * (10 << 20)
    path = save(tmp_path / "x.log", line(0, text=long), request(0, 5))

    assert long == story(run, path)["lines"][0]["line"]["text"]
    text = run("story", TRACE, path).out
    assert len(text) < 5000
    assert "more characters" in text


def test_a_line_without_an_end_does_not_fill_the_memory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its beginning stands for it; the lines around it are found."""
    for module in (blocks, sys.modules["pantheon_obs.cli.reading.wrappers"]):
        monkeypatch.setattr(module, "LONGEST", 300_000)
    monkeypatch.setattr(blocks, "BLOCK", 100_000)
    torn = '{"trace_id":"' + TRACE + '","x":"' + "x" * 1_000_000 + '"}'
    part = '2026-11-29T21:41:07Z stdout P {"trace_id":"' + TRACE + "y" * 200_000
    path = save(
        tmp_path / "x.log", line(0), torn, line(1), part, part, part,
        "2026-11-29T21:41:07Z stdout F }", line(2), "x" * 500_000,
    )  # fmt: skip

    document = story(run, path)

    assert [1, 3, 8] == [int(row["source"].rpartition(":")[2]) for row in document["lines"]]
    assert {"files": 1, "lines": 9, "foreign": 0, "torn": 2} == document["read"]


def test_gzip_is_told_by_its_bytes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members follow one another; the readable part of a damaged or cut file is read."""
    monkeypatch.setattr(blocks, "BLOCK", 64)
    data = "".join(json.dumps(line(at)) + "\n" for at in range(100)).encode()
    zipped = gzip.compress(data)
    damaged = bytearray(zipped)
    damaged[len(zipped) // 2 : len(zipped) // 2 + 20] = b"\xff" * 20
    (tmp_path / "a.log").write_bytes(zipped + gzip.compress(data) + b"\0\0\0")
    (tmp_path / "plain.gz").write_bytes(data)
    (tmp_path / "short.gz").write_bytes(b"\x1f")
    (tmp_path / "cut.gz").write_bytes(zipped[:-20])
    (tmp_path / "damaged.gz").write_bytes(damaged)

    assert 300 == len(story(run, tmp_path / "a.log", tmp_path / "plain.gz")["lines"])
    assert 1 == run("story", TRACE, tmp_path / "short.gz").code
    cut = run("story", TRACE, tmp_path / "cut.gz", "--json")
    assert "cut off" in cut.err
    assert 90 < len(json.loads(cut.out)["lines"])
    broken = run("story", TRACE, tmp_path / "damaged.gz", "--json")
    assert "damaged" in broken.err
    assert 0 < len(json.loads(broken.out)["lines"]) < 100


def test_the_last_value_of_a_key_counts_and_a_wrong_type_is_none(run: Run, tmp_path: Path) -> None:
    """The line is printed as it was written."""
    twice = OURS[:-1] + ',"service":"a","service":"b","big":123456789012345678901234567890}'
    path = save(tmp_path / "x.log", twice, line(1, service=7), line(2, trace_id=7, text=TRACE))
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line(3, "the last line has no newline")))

    result = run("story", TRACE, path, "--json")

    assert ["b", "x", "x"] == [row["service"] for row in json.loads(result.out)["lines"]]
    assert '"big":123456789012345678901234567890}' in result.out
    assert 4 == json.loads(result.out)["read"]["lines"]


def test_integers_may_be_written_as_numbers(run: Run, tmp_path: Path) -> None:
    """JSON Schema takes 12.0 for an integer; a truth value is no number."""
    calls = [
        {"input_tokens": 12.0, "cost_usd": 1},
        {"input_tokens": 1.5, "cost_usd": True},
        {"input_tokens": True, "cost_usd": "1"},
    ]
    path = save(
        tmp_path / "x.log",
        *(line(0, "llm.x", logger="pantheon_obs.llm", **fields) for fields in calls),
    )

    document = story(run, path)

    assert (3, 12, None, 1) == (
        document["llm_calls"],
        document["input_tokens"],
        document["output_tokens"],
        document["cost_usd"],
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_in_a_folder_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody may ever write into it, and the other files are read."""
    (tmp_path / "shop.log").touch()
    os.mkfifo(tmp_path / "pipe")
    assert ["shop"] == [source.service for source in find([str(tmp_path)])]
    assert "a pipe is read only where it is named itself" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_into_which_nobody_writes_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it would wait for ever."""
    monkeypatch.setattr(blocks, "_WRITER_COMES", 1)
    os.mkfifo(tmp_path / "pipe")

    result = run("story", TRACE, tmp_path / "pipe")

    assert 2 == result.code
    assert "nobody writes into this pipe" in result.err
    (tmp_path / "shop.log").write_text(OURS)
    assert 1 == len(story(run, tmp_path / "pipe", tmp_path / "shop.log")["lines"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_is_read_to_its_end(run: Run, tmp_path: Path) -> None:
    """A shell names a pipe for `<(zcat …)`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(OURS,))
    writer.start()

    assert 1 == len(story(run, pipe)["lines"])
    writer.join()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_gzip_is_told_where_a_pipe_gives_one_byte_first(run: Run, tmp_path: Path) -> None:
    """A program may write it in parts of any size."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    zipped = gzip.compress(OURS.encode())

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            file.write(zipped[:1])
            wait_until(lambda: not any(fcntl.ioctl(file, termios.FIONREAD, bytes(4))))
            file.write(zipped[1:])

    writer = Thread(target=write)
    writer.start()

    assert 1 == len(story(run, pipe)["lines"])
    writer.join()
