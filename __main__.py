"""The `fcnrt` program, also as `python -m fcnrt`."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the program; see `fcnrt.cli.app.main`. Exit code 130 for Ctrl-C, 143 for SIGTERM, with one word on stderr."""
    # A service may be started without them, and then Python has none.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115, pathlib takes time to import
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    terminated = False

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        """End the command as Ctrl-C does: what is done so far is kept. A second signal ends it at once."""
        nonlocal terminated
        terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)  # what service managers and `docker stop` send
    try:
        from .cli.app import main as run  # takes most of the time until the first word: Ctrl-C may come here

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(143 if terminated else 130)
    except SystemExit as exc:  # a command may have put its work in order first
        if terminated and exc.code == 130:
            sys.exit(143)
        raise


if __name__ == "__main__":
    main()
