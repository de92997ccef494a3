"""Writes the words of a store of Parquet files, on Spark: python words_on_spark.py STORE OUT."""

import os
import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

from flip.integrations.ray import Words


def words(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Add the words, in a process of Spark, which loads the model once for its partition."""
    yield from map(Words("minilm-en", encoder="minilm"), batches)


store, output = sys.argv[1:]
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
spark = SparkSession.builder.getOrCreate()
read = spark.read.parquet(store)
added = [StructField("words", ArrayType(StringType())), StructField("word_probabilities", ArrayType(FloatType()))]
read.mapInArrow(words, StructType([*read.schema.fields, *added])).write.parquet(output)
