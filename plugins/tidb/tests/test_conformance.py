"""TiDB and MariaDB keep the contract."""

import pytest
from specs import MARIADB

from backscroll_conformance import BackendConformance


class TestTiDB(BackendConformance):
    """On a TiDB that is started for it."""

    backend = "tidb"


@pytest.mark.newest
class TestMariaDB(BackendConformance):
    """On a MariaDB, as the second dialect."""

    backend = "tidb"
    server = MARIADB
