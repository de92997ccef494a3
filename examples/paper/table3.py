"""Table 3, language: words of one language, trained on its embeddings or on those of the translations.

    python table3.py datasets.yaml --text en

The datasets have two embeddings, first of the language of the words; `--text` is the id of its text.
"""

from __future__ import annotations

from runs import agreement, arguments, parsed, print_agreement

if __name__ == "__main__":
    print_agreement(agreement(*parsed(arguments(__doc__))))
