"""Workers of a sweep: this process, local processes, or a Dask cluster."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from etf_rotation.dbt_project import PROJECT
from etf_rotation.errors import InputError

CONNECT_SECONDS = 10


class Workers:
    """Processes that apply a function to arguments.

    Parameters
    ----------
    count : int
        Number of workers.
    client : distributed.Client, optional
        Client of their cluster. Without a client they are local processes; a single
        local worker is this process.
    """

    def __init__(self, count: int, client: Any = None) -> None:
        self.count, self.client = count, client

    def map(self, function: Callable, shared: Sequence, work: Sequence) -> Generator:
        """Yield `function(*shared, item)` for each item of `work`, in order.

        Raises
        ------
        InputError
            A local process was killed, or a cluster lost its workers.
        """
        if self.client is None and self.count == 1:
            yield from (function(*shared, item) for item in work)
            return
        try:
            with parallel_config(**self._backend(shared)):
                tasks = (delayed(function)(*shared, item) for item in work)
                yield from Parallel(n_jobs=self.count, return_as="generator", batch_size=1)(tasks)
        except TerminatedWorkerError:
            raise InputError(
                "a process of the sweep was ended from outside, perhaps for want of memory; try "
                "again with fewer --processes"
            ) from None

    def _backend(self, shared: Sequence) -> dict[str, Any]:
        if self.client is not None:
            return {"backend": "dask", "client": self.client, "scatter": list(shared)}
        # Workers ignore Ctrl-C: the parent process ends the work and prints one
        # message.
        return {"backend": "loky", "max_nbytes": None, "initializer": _ignore_interrupts}

    def on_each(self, function: Callable, *arguments: Any) -> dict[str, Any]:
        """Return the result of a function in every worker of a cluster, by address."""
        return self.client.run(function, *arguments) if self.client is not None else {}


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def workers(processes: int, cluster: str | None = None) -> Iterator[Workers]:
    """Provide the workers of a sweep.

    Parameters
    ----------
    processes : int
        Number of local processes, without a cluster.
    cluster : str, optional
        The address of a running Dask scheduler, such as tcp://10.0.0.5:8786.

    Raises
    ------
    InputError
        Dask is not installed, no scheduler answers, the scheduler has no workers, or a
        worker runs other code of this package or another numpy, so that bits could
        differ.
    """
    if cluster is None:
        yield Workers(processes)
        return
    client = _client(cluster)
    try:
        threads = client.nthreads()
        if not threads:
            raise InputError(f"--cluster {cluster}: the scheduler has no workers")
        _check_code(client, cluster)
        yield Workers(sum(threads.values()), client)
    finally:
        client.close()


def _client(cluster: str) -> Any:
    try:
        from distributed import Client  # noqa: PLC0415
    except ImportError:
        raise InputError(
            "--cluster needs Dask: install the packages dask and distributed here and on the "
            "workers"
        ) from None
    try:
        return Client(cluster, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--cluster {cluster}: no Dask scheduler answers ({error})") from None


def versions() -> tuple[str, str]:
    """Return what determines the bits: a digest of the code, and numpy's version."""
    # Not imported above: it loads the Parquet reader, and only a cluster needs it.
    from etf_rotation.gate.run_metadata import code_version  # noqa: PLC0415

    return code_version(PROJECT), np.__version__


def _check_code(client: Any, cluster: str) -> None:
    own = versions()
    try:
        found = client.run(versions)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"--cluster {cluster}: a worker cannot import etf_rotation ({error}); set its "
            "PYTHONPATH to the project's folder python"
        ) from None
    for address, version in sorted(found.items()):
        if version != own:
            raise InputError(
                f"--cluster {cluster}: the worker {address} has another code of etf_rotation, or "
                "another numpy; give it the same project"
            )
