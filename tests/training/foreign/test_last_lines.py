"""What is shown of a script that failed: its own last lines, whatever a launcher says after it."""

from __future__ import annotations

from typing import Any

import pytest

from ablate.errors import RunFailure
from ablate.training.foreign.last_lines import last_line, own_lines

SCRIPT = """epoch 1
[rank0]: Traceback (most recent call last):
[rank0]:   File "/x/train.py", line 3, in <module>
[rank0]:     raise ValueError("the mask is empty")
[rank0]: ValueError: the mask is empty""".splitlines()
TORCHRUN = """[rank1]:[W1127 11:33:01.9 ProcessGroupNCCL.cpp:1479] Warning: destroy_process_group() was not called before program exit
E1127 11:33:02.120000 4242 torch/distributed/elastic/multiprocessing/api.py:984] failed (exitcode: 1) local_rank: 0 (pid: 4250) of binary: /x/python
Traceback (most recent call last):
  File "/x/torchrun", line 7, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
  <NO_OTHER_FAILURES>
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  exitcode  : 1 (pid: 4250)
============================================================""".splitlines()
ACCELERATE = """Traceback (most recent call last):
  File "/x/accelerate", line 7, in <module>
    sys.exit(main())
subprocess.CalledProcessError: Command '['/x/python', 'train.py']' returned non-zero exit status 1.""".splitlines()
HYDRA = ["", "Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace."]


@pytest.mark.parametrize(
    "after",
    [
        [],
        TORCHRUN,
        ACCELERATE,
        HYDRA,
        ["make[1]: *** [Makefile:3: train] Error 1", "make: *** [all] Error 2"],
        ["----"],
    ],
)
def test_what_a_launcher_says_is_left_out(after: list[str]) -> None:
    assert own_lines([*SCRIPT, *after]) == SCRIPT
    assert last_line([*SCRIPT, *after]) == "[rank0]: ValueError: the mask is empty"


@pytest.mark.parametrize(
    "after",
    [
        ["make: *** No rule to make target 'data'.  Stop."],
        [
            "Traceback (most recent call last):",
            '  File "/x/train.py"',
            "subprocess.CalledProcessError: Command 'ffmpeg'",
        ],
    ],
)
def test_what_a_script_says_in_a_launchers_words_stays(after: list[str]) -> None:
    assert own_lines(["epoch 3", *after]) == ["epoch 3", *after]


def test_where_a_launcher_alone_said_anything_it_is_shown() -> None:
    assert own_lines(TORCHRUN) == TORCHRUN
    assert last_line(TORCHRUN) == "exitcode  : 1 (pid: 4250)"
    assert last_line(["", "====="]) == last_line([]) == ""


def test_a_failed_run_tells_the_scripts_own_lines(script: Any) -> None:
    printed = "\n".join([*(f"step {step}" for step in range(300)), *SCRIPT, *TORCHRUN])
    with pytest.raises(RunFailure) as error:
        script(f"import sys; print({printed!r}, file=sys.stderr); sys.exit(1)")
    said = str(error.value)
    assert said.splitlines()[-1].endswith("status 1: [rank0]: ValueError: the mask is empty")
    assert "FAILED" not in said
    assert len(said.splitlines()) == 22
