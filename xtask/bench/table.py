"""How figures look: in a table of Markdown, and beside a bar."""

import math


def table(head, rows):
    """All columns but the first hold numbers."""
    line = lambda cells: f"| {' | '.join(cells)} |"
    return [line(head), line(["---"] + ["---:"] * (len(head) - 1)), *map(line, rows), ""]


def figure(value):
    """With three digits that count."""
    if value is None or not math.isfinite(value):
        return "–"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def ratio(value):
    return "–" if value is None or not math.isfinite(value) else f"{value:.2f}"


def at_most(what, value, most):
    return {"what": what, "value": value, "wanted": f"at most {most}", "passes": value <= most}


def at_least(what, value, least):
    return {"what": what, "value": value, "wanted": f"at least {least}", "passes": value >= least}


def verdict(bar):
    return f"{'pass ' if bar['passes'] else 'short'}  {bar['what']}: {bar['value']:.2f} ({bar['wanted']})"
