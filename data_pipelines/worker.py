"""A worker process of a local Beam run, with one thread, without accelerators and without log output.

Beam starts it with `python -m drumgan_jax.data_pipelines.worker` and configures it through the environment.
"""

import ctypes
import logging
import os
import signal
import sys

# Set before the first import of NumPy or JAX: there are as many workers as cores, so each should use one core.
os.environ.update(
    JAX_PLATFORMS="cpu",
    XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
)


def main() -> None:
    """Serve the run until it ends."""
    # The run handles interrupts and stops its workers; a killed run takes its workers with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    # Beam's harness logs every step at warning level or below; errors reach the run as exceptions.
    logging.disable(logging.WARNING)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
