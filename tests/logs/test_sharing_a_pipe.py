"""Processes and threads that share one pipe, one socket or one file: no line is torn."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.logs.running import clean_environment, command
from tests.support.lines import parse_lines

if TYPE_CHECKING:
    from pathlib import Path

PROCESSES, THREADS, LINES = 4, 3, 20

PROGRAM = f"""
import os, threading
configure_logging()
logging.info("parent")
def work(process, thread):
    for number in range({LINES}):
        size = 70_000 if number % 5 == 0 else 9_000
        logging.info("line", extra={{"who": [process, thread, number], "x": "x" * size}})
def child(process):
    threads = [threading.Thread(target=work, args=(process, n)) for n in range({THREADS})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
children = []
for process in range({PROCESSES}):
    pid = os.fork()
    if pid == 0:
        child(process)
        os._exit(0)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
"""

ALL = Counter(
    (process, thread, number)
    for process in range(PROCESSES)
    for thread in range(THREADS)
    for number in range(LINES)
)


def whole(output: bytes) -> Counter[tuple[int, ...]]:
    """Return the writer of each line; fail if a line is not valid."""
    return Counter(tuple(line["who"]) for line in parse_lines(output) if line["event"] == "line")


def started(stdout: int, program: str = PROGRAM) -> subprocess.Popen[bytes]:
    """Start the program with this descriptor as its output."""
    return subprocess.Popen(command(program), stdout=stdout, env=clean_environment())


def read_all(descriptor: int) -> bytes:
    """Read until the last writer has closed its end."""
    with open(descriptor, "rb") as reader:
        return reader.read()


def test_forked_processes_with_threads_do_not_tear_lines_in_a_pipe() -> None:
    """Lines of 9 and of 70 kB, more than a pipe takes at once, are not torn."""
    read, write = os.pipe()
    with started(write) as process:
        os.close(write)
        output = read_all(read)

    assert (ALL, 0) == (whole(output), process.returncode)


def test_unrelated_processes_do_not_tear_each_other_s_lines() -> None:
    """The processes share nothing but the pipe."""
    program = """
        configure_logging()
        for number in range(40):
            logging.info("line", extra={"who": [number], "x": "x" * 70_000})
    """
    read, write = os.pipe()
    with started(write, program), started(write, program):
        os.close(write)
        output = read_all(read)

    assert Counter({(number,): 2 for number in range(40)}) == whole(output)


def test_a_process_without_rights_to_reopen_the_pipe_takes_part() -> None:
    """Containers give an unprivileged process a pipe that belongs to root."""
    if os.geteuid() != 0:
        pytest.skip("only root can give up its rights")
    program = PROGRAM.replace("configure_logging()", "configure_logging(); os.setuid(65534)")
    read, write = os.pipe()
    with started(write, program) as process:
        os.close(write)
        output = read_all(read)

    assert (ALL, 0) == (whole(output), process.returncode)


def test_a_socket_is_shared_as_a_pipe_is() -> None:
    """systemd gives services a socket."""
    ours, its = socket.socketpair()
    with started(its.fileno()) as process:
        its.close()
        output = read_all(ours.detach())

    assert (ALL, 0) == (whole(output), process.returncode)


def test_a_file_is_shared_too(tmp_path: Path) -> None:
    """The system appends each line to a file as a whole."""
    path = tmp_path / "app.log"
    with path.open("ab") as file, started(file.fileno()) as process:
        pass

    assert (ALL, 0) == (whole(path.read_bytes()), process.returncode)


def test_a_process_forked_during_a_write_can_write(tmp_path: Path) -> None:
    """Threads of the parent may hold every lock at that moment."""
    program = """
        import os, threading
        configure_logging()
        running = True
        def work():
            while running:
                logging.info("parent", extra={"x": "x" * 5_000})
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            if (pid := os.fork()) == 0:
                logging.info("child")
                os._exit(0)
            os.waitpid(pid, 0)
        running = False
        for thread in threads:
            thread.join()
    """
    read, write = os.pipe()
    with started(write, program) as process:
        os.close(write)
        output = read_all(read)

    # The parent writes as many lines as it can meanwhile: too many to look at each as others do.
    events = Counter(json.loads(line)["event"] for line in output.splitlines())
    assert (30, 0) == (events["child"], process.returncode)


def test_a_pipe_that_cannot_be_locked_is_written_to_all_the_same() -> None:
    """Some systems have no locks on pipes."""
    program = """
        import fcntl
        def refuse(*_):
            raise OSError("not supported")
        fcntl.lockf = refuse
        configure_logging()
        logging.info("line", extra={"who": [1], "x": "x" * 70_000})
    """
    read, write = os.pipe()
    with started(write, program):
        os.close(write)
        output = read_all(read)

    assert Counter({(1,): 1}) == whole(output)


def test_a_system_without_locks_and_forks_writes_all_the_same() -> None:
    """Windows, for example, has no such locks and no forks."""
    program = """
import asyncio, os, random, sys  # these ask for the platform, not for the function
sys.modules["fcntl"] = None
del os.register_at_fork
import logging
from pantheon_obs import configure_logging
configure_logging()
logging.info("line", extra={"who": [1]})
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, env=clean_environment()
    )

    assert (Counter({(1,): 1}), b"", 0) == (whole(done.stdout), done.stderr, done.returncode)
