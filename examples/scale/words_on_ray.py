"""Writes the words of a store of Parquet files, on Ray: python words_on_ray.py STORE OUT."""

import sys

import ray

from flip.integrations.ray import Words

store, output = sys.argv[1:]
ray.data.read_parquet(store).map_batches(
    Words, fn_constructor_args=["minilm-en"], fn_constructor_kwargs={"encoder": "minilm"},
    batch_format="pyarrow", concurrency=2, num_cpus=0.5,
).write_parquet(output)  # fmt: skip
