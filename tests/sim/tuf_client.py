"""A TUF client over the control plane's own route: `tuf.ngclient`, with the fetching done without sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, TargetFile, Updater

from tests.sim.control_plane import SimControlPlane

URL = "http://testserver/api/v1/metadata/"


class _Fetcher(FetcherInterface):
    def __init__(self, plane: SimControlPlane) -> None:
        self._plane = plane

    def _fetch(self, url: str) -> Iterator[bytes]:
        answer = self._plane.client.get(url.removeprefix("http://testserver"))
        if answer.status_code != 200:
            raise DownloadHTTPError(url, answer.status_code)
        yield answer.content


class SimTufClient:
    """Trusts the root it was given first, and remembers in its folder."""

    def __init__(self, plane: SimControlPlane, folder: Path, root: bytes) -> None:
        self._plane, self._folder, self._root = plane, folder, root
        folder.mkdir(exist_ok=True)

    def refreshed(self) -> Updater:
        """Raises tuf's own errors. Its clock is the machine's."""
        updater = Updater(str(self._folder), URL, fetcher=_Fetcher(self._plane), bootstrap=self._root)
        updater.refresh()
        return updater

    def target(self, path: str) -> TargetFile | None:
        return self.refreshed().get_targetinfo(path)
