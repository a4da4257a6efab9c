"""The `fcnrt` program, also as `python -m fcnrt`."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the program; see `fcnrt.cli.app.main`.

    Exit code 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP, with one word on stderr.
    """
    # A service may be started without them, and then Python has none.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115, pathlib takes time to import
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    terminals = [number for number in (1, 2) if os.isatty(number)]
    code = 130

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        """End the command as Ctrl-C does: what is done so far is kept. A second SIGTERM ends it at once."""
        nonlocal code
        code = 128 + number
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if hangup is not None:
            signal.signal(hangup, signal.SIG_IGN)  # when a session ends, the shell and the kernel send one each
        if number == hangup:
            _leave(terminals)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)  # what service managers and `docker stop` send
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:  # which `nohup` wants it to stay
        signal.signal(hangup, terminate)
    try:
        from .cli.app import main as run  # takes most of the time until the first word: Ctrl-C may come here

        run()
    except (KeyboardInterrupt, SystemExit) as exc:
        if isinstance(exc, SystemExit) and exc.code != 130:  # which is what Typer makes of Ctrl-C
            raise
        sys.stderr.write("interrupted\n")
        from .runtime.video.interruptible import is_waiting

        if is_waiting():  # for seconds; everything that was to be put in order is
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        sys.exit(code)


def _leave(terminals: list[int]) -> None:
    """Send what goes to a terminal nowhere: it is gone, and writing to it would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in terminals:
        os.dup2(nowhere, number)
    os.close(nowhere)


if __name__ == "__main__":
    main()
