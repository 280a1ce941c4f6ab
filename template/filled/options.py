"""The options of ``lmdb://``."""

import attrs
from backscroll.backend import BackendOptions, option, positive


@attrs.frozen(kw_only=True)
class LMDBOptions(BackendOptions):
    """What a URL of LMDB takes beside the options of every backend."""

    map_size: int = option(1 << 30, positive, "how large the file may become, in bytes")
