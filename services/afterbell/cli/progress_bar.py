"""How far a report is, as a bar."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar(screen: Console) -> Progress:
    """Bars with percentage, time and the field ``stage`` of each task."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[stage]}"),
        console=screen,
    )
