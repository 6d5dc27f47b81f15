"""What threadpoolctl knows of the thread pools in this process: BLAS of every make, on every system."""

from __future__ import annotations

from typing import Any

import threadpoolctl


def blas_pools() -> list[dict[str, Any]]:
    """Return threadpoolctl's word on every BLAS that is loaded in this process."""
    return [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
