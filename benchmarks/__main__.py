"""``make bench``: what the project's speed figures are taken from."""

from benchmarks.pipeline import main

if __name__ == "__main__":
    main()
