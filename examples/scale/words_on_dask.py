"""Writes the words of a store of Parquet files, on Dask: python words_on_dask.py STORE OUT."""

import sys

import dask.dataframe as dd
import pyarrow as pa

from flip.integrations.ray import Words

store, output = sys.argv[1:]
words = Words("minilm-en", encoder="minilm")
read = dd.read_parquet(store)
sample = words(read.head(2, npartitions=-1))
schema = pa.Schema.from_pandas(sample, preserve_index=False)
read.map_partitions(words, meta=sample.iloc[:0]).to_parquet(output, schema=schema)
