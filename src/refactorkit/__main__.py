"""``python -m refactorkit`` is the console script."""

from refactorkit.cli.app import main

if __name__ == "__main__":
    main()
