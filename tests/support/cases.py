"""What a test in Python starts from: unittest, with the output and the exit status of a cmocka program.

    if __name__ == "__main__":
        cases.main()

Exit status: 0, 1 if a case failed, 77 if each was skipped.
"""

import signal
import sys
import unittest

EXIT_SKIP = 77


class Result(unittest.TestResult):
    """One line a case, as cmocka prints it, so that each is counted."""

    def __init__(self):
        super().__init__()
        self.subtest_failed = False

    def startTest(self, test):
        super().startTest(test)
        self.subtest_failed = False
        self.say("RUN     ", test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("      OK", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"skipped: {reason}")
        self.say(" SKIPPED", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say(" FAILED ", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.say(" FAILED ", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err and not self.subtest_failed:
            self.subtest_failed = True
            self.say(" FAILED ", test)

    @staticmethod
    def say(what, test):
        print(f"[ {what} ] {test.id().rpartition('.')[2]}", flush=True)


def default_signals():
    """Not as nohup(1) and a shell's `&` leave them: what is ignored stays so in all that is run."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def main():
    default_signals()
    result = Result()
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    suite.run(result)
    for _, trace in result.failures + result.errors:
        print(trace, file=sys.stderr)
    if not result.wasSuccessful() or not result.testsRun:
        sys.exit(1)
    sys.exit(EXIT_SKIP if len(result.skipped) == result.testsRun else 0)
