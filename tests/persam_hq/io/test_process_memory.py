import numpy as np

from persam_hq.io.process_memory import peak_memory


def test_the_peak_counts_what_is_held_and_never_falls():
    held = np.ones(40_000_000, np.uint8)
    with_it = peak_memory()
    assert with_it > held.nbytes
    del held
    assert peak_memory() >= with_it
