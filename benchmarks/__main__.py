"""``python -m benchmarks``: run all of them (see `benchmarks.report`)."""

from benchmarks.report import main

if __name__ == "__main__":
    main()
