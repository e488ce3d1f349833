"""Quantities as people read them."""

_STEP = 1024


def size(num_bytes: int) -> str:
    """Bytes, for example "86.6 MiB"."""
    amount, units = float(num_bytes), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    while amount >= _STEP and unit != "GiB":
        amount, unit = amount / _STEP, next(units)
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"


def span_of_time(seconds: float) -> str:
    """A duration by its two largest units, for example "3 h 12 min"."""
    whole = max(0, int(seconds))
    for unit, length, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {smaller}"
    return f"{whole} s"
