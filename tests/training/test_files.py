"""A file is replaced whole or not at all, and otherwise treated as `open` treats it."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import jattn
from jattn import atomic
from jattn.atomic import write_atomically


@pytest.fixture
def umask():
    """A umask that no default equals."""
    previous = os.umask(0o027)
    yield 0o027
    os.umask(previous)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_new_file_has_the_mode_that_open_gives(tmp_path, umask):
    write_atomically(tmp_path / "file", b"new")
    (tmp_path / "plain").write_bytes(b"new")
    assert mode(tmp_path / "file") == mode(tmp_path / "plain") == 0o666 & ~umask


@pytest.mark.parametrize("before", [0o600, 0o644, 0o660, 0o755])
def test_an_existing_file_keeps_its_mode(before, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    os.chmod(tmp_path / "file", before)
    write_atomically(tmp_path / "file", b"new")
    assert mode(tmp_path / "file") == before
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # As for any user but root.
    with pytest.raises(PermissionError, match=r"cannot write: Permission denied: '.*file'"):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_and_its_target_is_replaced(exists, tmp_path):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "target", tmp_path / "link"
    if exists:
        target.write_bytes(b"old")
    link.symlink_to(Path("disk") / "target")
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert (os.listdir(tmp_path / "disk"), sorted(os.listdir(tmp_path))) == (
        ["target"],
        ["disk", "link"],
    )


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "lost").symlink_to(tmp_path / "no folder" / "file")
    for name in ("circle", "lost"):
        with pytest.raises(OSError, match=f"cannot write: .*: '.*{name}'"):
            write_atomically(tmp_path / name, b"new")
    assert sorted(os.listdir(tmp_path)) == ["circle", "lost"]


def test_a_device_is_written_to():
    """A terminal: in its folder the system lets nothing be renamed, so that no mistake harms it."""
    terminal, name = os.openpty()
    path = os.ttyname(name)
    write_atomically(path, b"new")
    assert stat.S_ISCHR(os.stat(path).st_mode)
    assert os.read(terminal, 10) == b"new"
    os.close(terminal)
    os.close(name)


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_atomically(tmp_path / "pipe", b"new" * 100_000)
    reader.join()
    assert received == [b"new" * 100_000]
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


@pytest.mark.parametrize("target", ["output", "/proc/self/fd/1"])
def test_what_is_written_to_standard_output_keeps_its_place(target, tmp_path):
    """Redirected to a file, it is neither cut nor replaced, in which case later output is lost."""
    program = (
        "from jattn.atomic import write_atomically\n"
        "print('before'); write_atomically('link', b'data\\n'); print('after')"
    )
    (tmp_path / "link").symlink_to(target)  # The second is what /dev/stdout is.
    with open(tmp_path / "output", "wb") as output:
        subprocess.run(
            [sys.executable, "-c", program],
            stdout=output,
            cwd=tmp_path,
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path(jattn.__file__).parents[1])},
        )
    assert (tmp_path / "output").read_text() == "before\ndata\nafter\n"


def test_every_writer_has_a_hidden_file_of_its_own(tmp_path, monkeypatch):
    """While one writer waits for the disk, another one writes the same file and is done."""
    path, fsync = tmp_path / "file", os.fsync
    waits, goes_on = threading.Event(), threading.Event()

    def slow(descriptor):
        if not waits.is_set():
            waits.set()
            assert goes_on.wait(60)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    writer = threading.Thread(target=write_atomically, args=(path, b"A" * 3000))
    writer.start()
    assert waits.wait(60)
    hidden = os.listdir(tmp_path)
    write_atomically(path, b"B" * 10)
    assert path.read_bytes() == b"B" * 10
    assert sorted(os.listdir(tmp_path)) == sorted([*hidden, "file"])
    goes_on.set()
    writer.join()
    assert path.read_bytes() == b"A" * 3000
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("damage", [b"", b"AA", b"AAB", b"AAAA"])
def test_a_hidden_file_that_is_not_what_was_written_is_not_renamed(damage, tmp_path, monkeypatch):
    path, fsync = tmp_path / "file", os.fsync
    path.write_bytes(b"old")

    def damaging(descriptor):
        for hidden in tmp_path.glob(".*"):
            hidden.write_bytes(damage)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", damaging)
    with pytest.raises(OSError, match="cannot write: the file was changed or cut"):
        write_atomically(path, b"AAA")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_many_writers_leave_one_whole_file(tmp_path):
    def write(letter):
        for _ in range(20):
            write_atomically(tmp_path / "file", letter * (1000 + ord(letter)))

    writers = [threading.Thread(target=write, args=(bytes([code]),)) for code in b"ABCD"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    content = (tmp_path / "file").read_bytes()
    assert content == content[:1] * (1000 + content[0])
    assert os.listdir(tmp_path) == ["file"]


def test_the_files_of_killed_writers_are_removed_and_no_others(tmp_path):
    path = tmp_path / "file"
    left = [path.with_name(f".file.{digit * 16}.partial") for digit in "0a"]
    others = [
        path.with_name(name) for name in (".file.mine.partial", ".life.0000000000000000.partial")
    ]
    for file in (*left, *others):
        file.write_bytes(b"part")
    write_atomically(path, b"new")
    assert sorted(os.listdir(tmp_path)) == sorted(["file", *(other.name for other in others)])


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    for name in ("n" * 255, "é" * 127):
        write_atomically(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
        assert len(os.listdir(tmp_path)) == 1
        (tmp_path / name).unlink()


def test_an_empty_file_and_one_of_whole_chunks_are_written(tmp_path):
    for data in (b"", b"x" * atomic.CHUNK, b"x" * (2 * atomic.CHUNK + 1)):
        write_atomically(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
