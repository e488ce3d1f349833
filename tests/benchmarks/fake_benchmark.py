"""A benchmark that measures nothing, for the runner."""

TARGETS = {"ratio": ("<=", 0.5), "speed": (">=", 4.0)}


def run(quick: bool) -> dict[str, float]:
    """Meet all targets, unless quick."""
    return {"ratio": 0.6 if quick else 0.5, "speed": 4.0, "seconds": 1.5}
