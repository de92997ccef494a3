"""Table 2, modality: trained on text or on speech embeddings of the same sentences, tested on both.

    python table2.py datasets.yaml

The datasets have two embeddings, text first; where only the test set has speech, the first row alone is made.
"""

from __future__ import annotations

from runs import agreement, arguments, parsed, print_agreement

if __name__ == "__main__":
    print_agreement(agreement(*parsed(arguments(__doc__))))
