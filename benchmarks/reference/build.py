"""`decode.c`, compiled where a compiler and libjpeg-turbo's header are present, and called without the GIL."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("decode.c")
FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]
MOST_THREADS = 64  # as in decode.c


class Reference:
    """The C program as a library.

    Parameters
    ----------
    folder : Path
        Where the library is put.

    Raises
    ------
    RuntimeError
        It cannot be built here; the message says why.
    """

    def __init__(self, folder: Path) -> None:
        compiler = os.environ.get("CC") or next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        if not compiler:
            raise RuntimeError("there is no C compiler")
        library = folder / "decode.so"
        command = [*compiler.split(), *FLAGS, str(SOURCE), "-o", str(library), "-lturbojpeg", "-lpthread", "-lm"]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        except OSError as error:
            raise RuntimeError(f"{compiler} does not start: {error.strerror}") from error
        if run.returncode:
            missing = "turbojpeg.h" in run.stderr or "-lturbojpeg" in run.stderr
            said = run.stderr.strip() or f"{compiler} ended with {run.returncode}"
            raise RuntimeError("install libturbojpeg0-dev" if missing else said.splitlines()[-1])
        self._library = ctypes.CDLL(str(library))
        self._library.make_workers.restype = ctypes.c_void_p
        self._workers = self._library.make_workers(MOST_THREADS)
        self.version = f"{Path(compiler).name} {' '.join(FLAGS[:2])}, libjpeg-turbo {_turbo_version(compiler)}"

    def decode(self, paths: list[bytes], out, num_threads: int = 1, *, decode_only: bool = False) -> None:
        """Fill `out`, uint8 of shape (n, height, width, 3), from n JPEGs."""
        assert out.dtype == np.uint8
        assert out.flags.c_contiguous
        assert len(paths) == len(out)
        failed = self._library.decode_batch(
            ctypes.c_void_p(self._workers),
            min(num_threads, MOST_THREADS),
            (ctypes.c_char_p * len(paths))(*paths),
            ctypes.c_long(len(paths)),
            *out.shape[1:3],
            ctypes.c_void_p(out.ctypes.data),
            int(decode_only),
        )
        assert not failed, f"{failed} pictures failed"


def _turbo_version(compiler: str) -> str:
    """Return what the header jconfig.h says; libjpeg-turbo 2 has no function for it."""
    command = [*compiler.split(), "-dM", "-E", "-include", "jconfig.h", "-x", "c", os.devnull]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"LIBJPEG_TURBO_VERSION (\S+)", run.stdout)
    return found.group(1) if found else "of the system"
