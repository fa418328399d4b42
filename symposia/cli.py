"""The command line."""


def main() -> None:
    """Run it."""
    raise SystemExit("the command line is not there yet")
