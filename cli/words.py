"""Writing other people's words where a terminal reads them."""


def printable(text: str) -> str:
    """Spell out what a terminal would obey or a reader would not see; line ends stay."""
    return "".join(each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in text)
