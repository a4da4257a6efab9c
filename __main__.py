"""`python -m fcnrt` is the `fcnrt` program."""

from .cli.app import main

main()
