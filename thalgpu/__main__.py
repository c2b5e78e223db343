"""`python -m thalgpu` is the `thalgpu` command."""

from thalgpu.cli.main import main

if __name__ == "__main__":
    main()
