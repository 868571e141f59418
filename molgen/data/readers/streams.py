"""Bytes and lines of untrusted files: unpacked, limited in size, and with errors in the user's words."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from molgen.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_LINE = 1_000_000  # characters; no molecule needs it, and a line is held in memory
# What an archive has where, in bytes; a spreadsheet of Excel is a ZIP archive.
ARCHIVES = {"a tar archive": (257, b"ustar"), "a ZIP archive or a spreadsheet": (0, b"PK\x03\x04")}
MAX_BYTES = 8_000_000_000  # unpacked; 200 MB gzip to 190 kB, so the size on disk says nothing


@contextmanager
def unpacked(path: Path | str, label: str, max_bytes: int = MAX_BYTES) -> Iterator[io.BufferedReader]:
    """Yield the bytes of a file, or of standard input for "-", without gzip, which is known by its content.

    Reading raises InputError for a damaged gzip file and beyond max_bytes.
    """
    if str(path) == "-":
        yield _limited(cast(io.BufferedReader, sys.stdin.buffer), label, max_bytes)
        return
    with Path(path).open("rb") as source:
        yield _limited(source, label, max_bytes)


def text_lines(stream: io.BufferedReader, label: str) -> Iterator[str]:
    """The lines of UTF-8 text, or of UTF-16 with its byte order mark, each with its line end.

    Raises InputError for binary files, other encodings and lines longer than MAX_LINE.
    """
    head = stream.peek(4096)
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    for kind, (place, mark) in ARCHIVES.items():
        if head[place : place + len(mark)] == mark:
            raise InputError(f"{label} is {kind}, not text; unpack it, and give the file of molecules that is inside")
    if b"\0" in head and not wide:
        raise InputError(f"{label} is a binary file (or UTF-16 without its mark), not UTF-8 text")
    number = 0
    try:
        text = io.TextIOWrapper(stream, encoding="utf-16" if wide else "utf-8-sig")
        while line := text.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise InputError(f"line {number} of {label} is longer than {MAX_LINE:,} characters")
            if "\0" in line:
                raise InputError(f"{label} is a binary file, not UTF-8 text (line {number} holds a zero byte)")
            yield line
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        where = f"byte 0x{byte:02x} near line {number + 1}"  # near: text is decoded in pieces
        kind = "UTF-16" if wide else "UTF-8"
        raise InputError(f"{label} is not {kind} text ({where}); save it as UTF-8") from None


def count_of(mark: bytes, path: Path) -> int:
    """About how often `mark` occurs in an unpacked file: one that is cut by the end of a piece of 1 MiB is missed."""
    with unpacked(path, str(path)) as stream:
        return sum(piece.count(mark) for piece in iter(lambda: stream.read(1 << 20), b""))


def too_large(label: str, limit: int) -> InputError:
    """The error for a file that unpacks to more than `limit` bytes."""
    return InputError(f"{label} unpacks to more than the {limit / 1e6:,.0f} MB allowed")


class _Limited(io.RawIOBase):
    """A binary stream that refuses to give more than `limit` bytes."""

    def __init__(self, read: Callable[[int], bytes], label: str, limit: int) -> None:
        self.read_some, self.label, self.limit, self.total = read, label, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer)
        try:
            data = self.read_some(len(target))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{self.label} is a damaged gzip file ({error})") from None
        self.total += len(data)
        if self.total > self.limit:
            raise too_large(self.label, self.limit)
        target[: len(data)] = data
        return len(data)


def _limited(source: io.BufferedReader, label: str, max_bytes: int) -> io.BufferedReader:
    raw = io.BufferedReader(source)
    packed = raw.peek(2)[:2] == b"\x1f\x8b"  # by content: a wrong extension is no reason to fail
    read = gzip.GzipFile(fileobj=raw).read1 if packed else raw.read1
    return io.BufferedReader(_Limited(read, label, max_bytes))
