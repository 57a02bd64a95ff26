"""What a user did wrong, in one line: where, what, and what to do about it."""

import sys
from collections.abc import Callable, Iterable


class UserError(Exception):
    """Bad input that the user can correct.

    Parameters
    ----------
    what : str
        What is wrong.
    where : str or path, optional
        File, entry or option that it was found in.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, what: str, where: object = None, hint: str | None = None):
        self.what, self.where, self.hint = what, where, hint
        super().__init__(one_line(what, where, hint))

    def __reduce__(self):
        return type(self), (self.what, self.where, self.hint)


def one_line(what: str, where: object = None, hint: str | None = None) -> str:
    """Join the three parts of a message into a single line."""
    text = f"{where}: {what}" if where else what
    text = f"{text}; {hint}" if hint else text
    return " ".join(text.split())


def unknown(kind: str, name: str, known: Iterable[str], where: object) -> UserError:
    """The error for a name that does not exist."""
    return UserError(f"unknown {kind} '{name}'", where, f"choose one of: {', '.join(sorted(map(str, known)))}")


def run(main: Callable[[], int | None]) -> int:
    """Run a command's `main` and turn a `UserError` into one line on stderr and exit code 2."""
    try:
        return main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
