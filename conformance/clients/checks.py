"""One line for each check, and a summary.

The Go side reads the lines: "ok NAME", "FAIL NAME: reason", "skip NAME: reason".
Anything else is a remark.
"""
import sys
import traceback


class Skip(Exception):
    """Raised by a check that cannot be made here."""


class Checks:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def run(self, name, check, *args):
        """Runs the check; any exception is its failure."""
        try:
            check(*args)
        except Skip as why:
            self.skipped += 1
            self.say(f"skip {name}: {why}")
        except Exception as why:  # every failure is worth a line, whatever it is
            self.failed += 1
            frame = traceback.extract_tb(sys.exc_info()[2])[-1]
            self.say(f"FAIL {name}: {type(why).__name__}: {why} [{frame.name}:{frame.lineno}]")
        else:
            self.passed += 1
            self.say(f"ok {name}")

    def all(self, namespace):
        """Runs every function of the namespace whose name begins with check_."""
        for name, check in list(namespace.items()):
            if name.startswith("check_"):
                self.run(name[len("check_"):], check)

    def say(self, line):
        print(" ".join(line.split())[:900], flush=True)

    def end(self):
        """Prints the summary and returns the exit status."""
        self.say(f"summary: {self.passed} ok, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or not self.passed else 0


def equal(got, want, what="value"):
    if got != want:
        raise AssertionError(f"{what} is {got!r}, want {want!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)
