"""``python -m huanshu``."""

from huanshu.cli import main

if __name__ == "__main__":
    main()
