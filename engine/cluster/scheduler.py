"""Which Dask scheduler a run goes to, and how it is spoken to: encrypted, unless that is waived."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalgpu.errors import InputError, UsageError

LOCAL = "local"
"""In place of an address: a cluster of this machine, which the run starts and ends itself."""


@dataclass(frozen=True)
class Scheduler:
    """A Dask cluster that somebody has started, or that is to be started.

    Attributes
    ----------
    place : `tls://host:port`, the scheduler's file, or `LOCAL`.
    insecure : a plain `tcp://` connection, on which whoever reaches the port can run code as its owner, is accepted.
    tls_ca, tls_cert, tls_key : PEM files of the authority, of this client and of its key; None for those of Dask's own
        configuration.
    cpu_only : workers leave their GPUs alone.
    gpu_only : a worker without a GPU that computes is refused.
    """

    place: str
    insecure: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    cpu_only: bool = False
    gpu_only: bool = False

    @property
    def is_local(self) -> bool:
        """Whether the run is to start it, of this machine's processes or GPUs."""
        return self.place == LOCAL

    def address(self) -> str:
        """Where it listens; not for a cluster that is still to be started.

        Raises
        ------
        UsageError
            It is no address, or one without encryption.
        InputError
            The file cannot be read, or a certificate is missing.
        """
        found = self.place if "://" in self.place else self._address_of_file()
        protocol = found.partition("://")[0]
        if protocol == "tcp" and not self.insecure:
            raise UsageError(
                f"{found} is not encrypted: whoever reaches it can run programs as you",
                where="--scheduler",
                remedy="start the cluster with TLS (docs/clusters.md), or accept that with --insecure",
            )
        if protocol not in ("tls", "tcp"):
            raise UsageError(f"{found} is no address of a Dask scheduler", remedy="give tls://HOST:PORT, or its file")
        return found

    def security(self) -> dict[str, Any]:
        """What `distributed.Security` is to be told; InputError where a certificate cannot be found."""
        given = {"tls_ca_file": self.tls_ca, "tls_client_cert": self.tls_cert, "tls_client_key": self.tls_key}
        for path in given.values():
            if path is not None and not path.is_file():
                raise InputError(path, "is not there", remedy="give the PEM file that the cluster was started with")
        return {name: str(path) for name, path in given.items() if path is not None}

    def _address_of_file(self) -> str:
        path = Path(self.place)
        try:
            return str(json.loads(path.read_bytes())["address"])
        except OSError as error:
            raise InputError(
                path, f"cannot be read: {error.strerror}", remedy="give tls://HOST:PORT, or the scheduler's file"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                path, "is not a scheduler's file", remedy="give what dask scheduler --scheduler-file wrote"
            ) from error
