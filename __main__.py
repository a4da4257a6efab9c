"""The `fcnrt` program, also as `python -m fcnrt`."""

import sys


def main() -> None:
    """Run the program; see `fcnrt.cli.app.main`."""
    try:
        from .cli.app import main as run
    except KeyboardInterrupt:  # importing takes most of the time until the first word
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
