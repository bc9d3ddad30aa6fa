"""What can be said of a config without training: its parts fit their keys."""

from __future__ import annotations

from mmdistill import registry
from mmdistill.engine.doctor import diagnose
from mmdistill.engine.doctor.typed_parts import parts

#: Those whose parts need nothing else to be built, and are quick to build.
BUILT = registry.TRANSFORMS, registry.HOOKS


def mistakes(cfg: dict) -> dict[str, str]:
    """What is wrong with the parts of a config, by their keys."""
    found = {f.key: f.text for f in diagnose(cfg, files=False)}
    for part in parts(cfg):
        if part.registry in BUILT and not found:
            try:
                part.registry.build({'type': part.kind, **part.cfg})
            except Exception as error:
                found[part.key] = str(error)
    return found
