"""What TensorRT says while it works, collected: its functions return None or False and leave the reason to the log."""

from __future__ import annotations

import re
import threading
from typing import Any

_ERROR = 1  # of ILogger.Severity: 0 internal error, 1 error, 2 warning, 3 info, 4 verbose

# Without a driver every error is followed by these, which explain nothing where there is another reason.
_NOISE = re.compile(r"cudaError 35|CUDA driver version is insufficient|Unable to determine GPU memory usage")


class MessageLog:
    """Errors of TensorRT in the order they came; filled from any thread."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._lock = threading.Lock()

    def add(self, severity: int, text: str) -> None:
        """Keep a message if it is an error."""
        if severity <= _ERROR:
            with self._lock:
                self._errors.append(" ".join(text.split()))

    def take_errors(self) -> str:
        """The errors since the last call, each once and in one line; empty if there were none."""
        with self._lock:
            errors, self._errors = self._errors, []
        reasons = [text for text in errors if not _NOISE.search(text)]
        return "; ".join(dict.fromkeys(map(shorten, reasons or errors)))


def make_logger(trt: Any, log: MessageLog) -> Any:
    """A TensorRT logger that writes to `log` and prints nothing; it must live as long as what it is given to."""

    # IErrorRecorder would be the interface for this, but one written in Python crashes the process.
    class _Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            log.add(int(severity), msg)

    return _Logger()


def shorten(text: str) -> str:
    """A message of TensorRT without its error codes and source locations."""
    text = re.sub(r"^\[\w+\.cpp::\w+::\d+\] ", "", text)
    text = re.sub(r"^(IBuilder|ICudaEngine|IRuntime|IExecutionContext)::\w+: ", "", text)
    text = re.sub(r"^Error Code \d+: ", "", text)
    text = re.sub(r"\s*\bIn \S+ at \S+\.(?:cpp|h|cc):\d+", "", text)
    return text if len(text) <= 300 else f"{text[:300]} ..."
