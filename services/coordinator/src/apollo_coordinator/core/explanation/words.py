"""Figures as sentences show them."""

_BYTES = ("KiB", "MiB", "GiB", "TiB")


def span(milliseconds: float) -> str:
    """Such as `0.4 s`, `31 s`, `4 min 05 s`, `2 h 07 min`."""
    seconds = milliseconds / 1000
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def setting_size(amount_bytes: int) -> str:
    """Exactly, and as a setting takes it: such as `64MiB`, `1000`."""
    amount, unit = amount_bytes, ""
    for larger in _BYTES:
        if not amount or amount % 1024:
            break
        amount, unit = amount // 1024, larger
    return f"{amount}{unit}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def times(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def count(number: int, what: str, many: str = "") -> str:
    """Such as `1 task` or `1,200 tasks`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {many or what + 's'}"


def rate(number: float, milliseconds: float) -> str:
    """For each second: such as `0.5`, `12`, `3,400`."""
    per_second = 1000 * number / max(1, milliseconds)
    return f"{per_second:.1f}" if per_second < 9.95 else f"{per_second:,.0f}"
