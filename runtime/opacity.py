"""How strongly the colours of classes cover a frame."""

DEFAULT_OPACITY = 0.6


def check_opacity(opacity: float) -> None:
    """Raises ValueError if the opacity is not 0..1."""
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is 0 (not visible) to 1 (covers the frame), got {opacity:g}")
