"""The command `tfen`: `main` maps names to functions, which lie by what people do with them.

`sets` make and prepare sets, `experiments` train and test, `results` read what came of it, `films` looks at films, and
`weights` writes weights. Heavy imports sit inside the command that needs them, so that --help is quick.
"""

from tfen.cli.main import main

__all__ = ["main"]
