"""The `fcnrt` program, also as `python -m fcnrt`."""

import sys


def main() -> None:
    """Run the program; see `fcnrt.cli.app.main`. Exit code 130 and one word on stderr for Ctrl-C."""
    try:
        from .cli.app import main as run  # takes most of the time until the first word: Ctrl-C may come here

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
