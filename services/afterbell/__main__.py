"""``python -m afterbell``."""

from afterbell.cli.main import main

main()
