"""Scorers of the user: a program, a Python function, a model in ONNX.

A program or a function is asked for several molecules at once. Where it crashes, takes too long or does not give as
many answers as it was asked for, the molecules are asked for again in halves, down to single ones, so that a crash
costs the molecule that causes it; that one has no value.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from time import monotonic
from typing import Protocol

import numpy as np
from rdkit import Chem

from molgen.errors import InputError, MolgenError
from molgen.molecules.fingerprints import FINGERPRINT_BITS, fingerprint
from molgen.optimisation.calling import Ready, finite, serve
from molgen.optimisation.curves import Curve
from molgen.optimisation.scorers import Answers
from molgen.parallel import chunks
from molgen.workers import PROCESSES, Crew, Died, Failed

TRUST = 20  # molecules without a single number after which the scorer, and not the molecules, is at fault
SHOWN = 300  # characters of what a failed program said


class Call(Protocol):
    """Something that is asked for numbers. message: what it last said of a failure."""

    message: str

    def __call__(self, smiles: list[str]) -> list[float] | None:
        """A number for each molecule, NaN where it has none; None where the call failed as a whole."""
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


@dataclass(eq=False)
class External:
    """A scorer that asks a `call` in batches."""

    call: Call
    batch: int
    curve: Curve | None = None
    worked: bool = False
    failed: int = 0  # molecules without a number before the first that has one

    def answers(self, smiles: Sequence[str]) -> Iterator[Answers]:
        """See molgen.optimisation.scorers.Scorer.

        Raises MolgenError where none of the first molecules has a number.
        """
        held: list[Answers] = []  # until it is known that the scorer works at all
        for part in self._narrowed(smiles):
            held.append(part)
            self.worked = self.worked or not all(map(isnan, part.values))
            self.failed += 0 if self.worked else len(part.smiles)
            if self.failed >= TRUST and not self.worked:
                said = f"; it said: {self.call.message}" if self.call.message else ""
                raise MolgenError(
                    f"none of the first {self.failed} molecules got a number, such as {held[0].smiles[0]}{said}"
                )
            if self.worked:
                yield from held
                held = []
        yield from held

    def close(self) -> None:
        """End what it has started."""
        self.call.close()

    def _narrowed(self, smiles: Sequence[str]) -> Iterator[Answers]:
        waiting = deque(chunks(smiles, self.batch))
        while waiting:
            part = waiting.popleft()
            numbers = self.call(part)
            if numbers is not None:
                yield Answers(part, numbers)
            elif len(part) == 1:
                yield Answers(part, [nan])
            else:
                middle = len(part) // 2
                waiting.extendleft([part[middle:], part[:middle]])


class Program:
    """An executable that reads SMILES, one a line, from its standard input and prints a number for each, one a line.

    A line that is not a finite number is a missing value. seconds: that a molecule may take, on average of a call.
    """

    def __init__(self, words: Sequence[str], folder: Path, seconds: float) -> None:
        self.words, self.folder, self.seconds = list(words), folder, seconds
        self.message = ""

    def __call__(self, smiles: list[str]) -> list[float] | None:
        """See `Call`. Raises MolgenError where the program cannot be started."""
        try:
            process = subprocess.Popen(
                self.words,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that what it starts can be ended with it
            )
        except OSError as error:
            raise MolgenError(f"{self.words[0]} cannot be started ({error.strerror})") from None
        limit = self.seconds * len(smiles)
        try:
            out, told = process.communicate("".join(f"{text}\n" for text in smiles).encode(), timeout=limit)
        except subprocess.TimeoutExpired:
            self.message = f"longer than {limit:g} s for {len(smiles)} molecules"
            return None
        finally:
            if process.returncode != 0:
                self._end(process)
        if process.returncode:
            last = told.decode(errors="replace").strip()[-SHOWN:]
            self.message = f"exit code {process.returncode}" + (f": {last}" if last else "")
            return None
        lines = out.decode(errors="replace").removesuffix("\n").split("\n")
        while len(lines) > len(smiles) and not lines[-1].strip():
            lines.pop()
        if len(lines) != len(smiles):
            self.message = f"{len(lines)} lines for {len(smiles)} molecules"
            return None
        numbers = [_number(line) for line in lines]
        if isnan(numbers[0]):
            self.message = lines[0][:SHOWN]
        return numbers

    def close(self) -> None:
        """Nothing goes on between calls."""

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        """End the program and all that it started, if anything is left of it."""
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # pipes that a runaway grandchild holds
            process.communicate(timeout=1)


class Function:
    """A Python function in a process of its own: it gets a list of SMILES and returns a number, or None, for each.

    The process is one of this machine, whatever the current engine: the user's code need not be on another.

    Raises InputError where it cannot be imported.
    """

    def __init__(self, module: str, name: str, folder: Path, seconds: float) -> None:
        self.seconds = seconds
        self.message = ""
        self.crew: Crew[list[str]] = Crew(1, serve, str(folder), module, name, engine=PROCESSES)
        self.path = self._wait_ready()

    def __call__(self, smiles: list[str]) -> list[float] | None:
        """See `Call`."""
        worker = self.crew.workers[0]
        self.crew.give(worker, smiles, smiles)
        answer = self._heard(self.seconds * len(smiles))
        if isinstance(answer, Failed):
            self.message = f"{type(answer.error).__name__}: {answer.error}"[:SHOWN]
        if not isinstance(answer, list):
            return None
        if len(answer) != len(smiles):
            self.message = f"{len(answer)} numbers for {len(smiles)} molecules"
            return None
        return answer

    def close(self) -> None:
        """End the process."""
        self.crew.close()

    def _wait_ready(self) -> str:
        """The file of the function's module."""
        while True:
            for _, message in self.crew.messages():
                if isinstance(message, Ready):
                    return message.path
                if isinstance(message, Failed | Died):
                    self.crew.close()
                    error = message.error if isinstance(message, Failed) else "its process died"
                    raise InputError(f"the function cannot be imported: {error}")

    def _heard(self, seconds: float) -> object:
        """What the process answers; None where it dies or is too slow, when another is started in its place."""
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            for worker, message in self.crew.messages(left):
                worker.task = None
                if isinstance(message, Died):
                    self.message = "its process died"
                    self._wait_ready()
                    return None
                return message
        self.message = f"longer than {seconds:g} s"
        self.crew.replace(self.crew.workers[0])
        self._wait_ready()
        return None


class OnnxModel:
    """A regressor or classifier in ONNX that takes Morgan fingerprints (radius 2, 2,048 bits), float32 [m, 2048].

    The value is its first output, of a classifier with probabilities that of the last class. ONNX holds numbers and
    known operators, no code. Raises InputError for a file that is no such model, and where onnxruntime is missing.
    """

    message = ""

    def __init__(self, path: Path) -> None:
        try:
            runtime = importlib.import_module("onnxruntime")
        except ImportError:
            raise InputError('a model in ONNX needs onnxruntime: pip install "molgen-diffusion[onnx]"') from None
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common base
            raise InputError(f"{path} is not a model in ONNX ({_first_line(error)})") from None
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or inputs[0].shape[1:] != [FINGERPRINT_BITS]:
            got = ", ".join(f"{each.type} {each.shape}" for each in inputs)
            raise InputError(f"{path} should take one input, float32 of shape [m, {FINGERPRINT_BITS}], and takes {got}")
        self.input = inputs[0].name
        self(["C"])  # does it run, and what does it give?

    def __call__(self, smiles: list[str]) -> list[float]:
        """See `Call`. Raises InputError where the outputs are not one number, or probabilities, for each molecule."""
        packed = [np.frombuffer(fingerprint(Chem.MolFromSmiles(text)), np.uint8) for text in smiles]
        bits = np.unpackbits(np.stack(packed), axis=1, bitorder="little").astype(np.float32)
        try:
            outputs = self.session.run(None, {self.input: bits})
        except Exception as error:  # its errors have no common base
            raise InputError(f"the model in ONNX fails: {_first_line(error)}") from None
        values = outputs[-1] if len(outputs) == 2 else outputs[0]  # of a classifier: labels, probabilities
        if isinstance(values, list) and values and isinstance(values[0], dict):
            raise InputError("the classifier in ONNX gives maps: export it with the option zipmap=False")
        numbers = np.asarray(values)
        if numbers.dtype.kind not in "fiu" or numbers.size == 0 or numbers.shape[0] != len(smiles) or numbers.ndim > 2:
            raise InputError(
                f"the model in ONNX gives {numbers.dtype} of shape {list(numbers.shape)}, not a number each"
            )
        return [finite(value) for value in numbers.reshape(len(smiles), -1)[:, -1].tolist()]

    def close(self) -> None:
        """Nothing was started."""


def _number(line: str) -> float:
    try:
        return finite(float(line))
    except ValueError:
        return nan


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:SHOWN]
