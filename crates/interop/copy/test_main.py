"""main.py prints the same with the module and without it. Run `python -m unittest`."""

import subprocess
import sys
import unittest

import NAME_rs  # noqa: F401  main.py would take a broken module for a missing one

# An import of None fails, as if there were no such module.
WITHOUT = """
import runpy, sys
sys.modules["NAME_rs"] = None
runpy.run_path("main.py", run_name="__main__")
"""


class TestMain(unittest.TestCase):
    def run_python(self, *arguments):
        command = [sys.executable, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return ended.stdout

    def test_it_prints_the_same_and_ends_well(self):
        expected = self.run_python("-c", WITHOUT)
        for _ in range(20):  # a crash at the exit is a race
            self.assertEqual(self.run_python("main.py"), expected)
