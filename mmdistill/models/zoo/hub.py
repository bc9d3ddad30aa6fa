"""Hugging Face's hub, from which timm and transformers take weights."""

from __future__ import annotations

import os
import socket
import urllib.request
from functools import cache
from urllib.parse import urlparse

#: Seconds that a connection may take before the hub counts as out of reach.
_PATIENCE = 5


@cache
def can_reach_hub() -> bool:
    """Whether the hub answers, found out once.

    The hub's own client tries for a minute, and prints each attempt.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():
        return True  # whoever reaches it, it is not this machine
    address = urlparse(constants.ENDPOINT)
    port = address.port or 443
    try:
        socket.create_connection((address.hostname, port), _PATIENCE).close()
    except OSError:
        return False
    return True


def cached_file(repository: str, names: tuple[str, ...]) -> str | None:
    """Path of the first of some files that lies in the hub's cache.

    Args:
        repository: its id on the hub.
        names: of the files.
    """
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, (str, os.PathLike)):
            return str(found)
    return None
