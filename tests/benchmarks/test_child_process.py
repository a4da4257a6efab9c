from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from fcnrt.benchmarks.child_process import run_child
from fcnrt.runtime.errors import InferenceError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_times_are_from_the_start_to_the_first_output_and_to_the_end(tmp_path: Path) -> None:
    run = run_child(python("import time; time.sleep(.1); print(1, flush=True); time.sleep(.2)"), folder=tmp_path)
    assert run.first_output_s is not None
    assert 0.1 <= run.first_output_s <= run.wall_s - 0.2


def test_silence_has_no_first_output(tmp_path: Path) -> None:
    assert run_child(python("pass"), folder=tmp_path).first_output_s is None


def test_output_larger_than_a_pipe_does_not_block(tmp_path: Path) -> None:
    assert run_child(python("print('x' * 1_000_000)"), folder=tmp_path).exit_code == 0


def test_peak_memory_is_the_childs_own_and_not_this_process(tmp_path: Path) -> None:
    ballast = np.ones(25_000_000)  # 200 MB in this process, which a child would inherit in the kernel's books
    small = run_child(python("pass"), folder=tmp_path).peak_rss_mib
    large = run_child(python("b = b'x' * 100_000_000"), folder=tmp_path).peak_rss_mib
    assert ballast.nbytes > 0
    assert small < 60
    assert 95 < large < 95 + 60


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory is anonymous")
def test_mapped_files_are_resident_but_not_anonymous(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(bytes(100_000_000))
    read = "; sum(d[::4096]); time.sleep(.1)"
    mapped = (
        "import mmap, time; f = open('weights', 'rb'); d = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)" + read
    )
    copied = "import time; d = open('weights', 'rb').read()" + read
    assert run_child(python(copied), folder=tmp_path).peak_anonymous_mib is None  # watching takes time
    of_file = run_child(python(mapped), folder=tmp_path, watch_memory=True)
    of_memory = run_child(python(copied), folder=tmp_path, watch_memory=True)
    assert of_file.peak_anonymous_mib is not None and of_memory.peak_anonymous_mib is not None
    assert of_file.peak_anonymous_mib < 50
    assert 95 < of_memory.peak_anonymous_mib < 95 + 50
    assert min(of_file.peak_rss_mib, of_memory.peak_rss_mib) > 95


def test_runs_in_the_folder(tmp_path: Path) -> None:
    run_child(python("open('here', 'w').close()"), folder=tmp_path)
    assert (tmp_path / "here").exists()


def test_failures_carry_the_programs_last_words(tmp_path: Path) -> None:
    with pytest.raises(InferenceError, match="ended with exit code 3: no film today"):
        run_child(python("import sys; print('no film today', file=sys.stderr); sys.exit(3)"), folder=tmp_path)
    with pytest.raises(InferenceError, match="no-such-program could not be started: FileNotFoundError"):
        run_child(["no-such-program"], folder=tmp_path)
