"""`python -m flip`, and `torchrun -m flip`."""

from flip.cli.app import run

if __name__ == "__main__":
    run()
