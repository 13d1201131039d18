"""A worker process of a local Beam run: one thread, no accelerator, quiet.

Beam starts it by `python -m drumgan_jax.data_pipelines.worker` and tells it the rest through the environment.
"""

import ctypes
import logging
import os
import signal
import sys

# Before the first import of NumPy or JAX: there are as many workers as cores, and each is to use one.
os.environ.update(
    JAX_PLATFORMS="cpu",
    XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    NUMBA_NUM_THREADS="1",
)


def main() -> None:
    """Serve the run until it ends."""
    # An interrupt is for the run, which tells its workers; and a worker ends with a run that was killed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    # Beam's harness tells each of its steps as a warning or less; errors reach the run as exceptions.
    logging.disable(logging.WARNING)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
