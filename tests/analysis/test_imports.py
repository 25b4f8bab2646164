"""The analysis starts light: a plan must not pay for scipy."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_importing_the_analysis_imports_nothing_heavy() -> None:
    code = (
        "import sys, ablate.analysis; heavy = 'numpy scipy pandas statsmodels torch plotly sqlalchemy'.split();"
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
