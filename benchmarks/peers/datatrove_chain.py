"""datatrove's fineweb.py over a folder of WARC files: runs in datatrove's own environment.

The chain is that of examples/fineweb.py with its exclusion writers, up to MinHash. Three things differ, each in the
peer's favour or needed offline: its language model is the lid.176.ftz named on the command line (the .bin is a
download), public suffixes are those in tldextract's wheel, and a page may take 30 seconds, so that a busy machine drops
none. Imports, block lists and tokenizers are loaded by a run over the folder WARM before the clock starts.

    python datatrove_chain.py WARM_FOLDER WARC_FOLDER lid.176.ftz OUT_FOLDER
"""

from __future__ import annotations

import gzip
import json
import resource
import sys
from pathlib import Path

from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from fasttext.FastText import _FastText
from loguru import logger
from tldextract import TLDExtract


def run(source: str, model: _FastText, urls: URLFilter, target: str) -> None:
    """The pipeline of fineweb.py as one task, its steps joined as its executors join them."""
    removed = f"{target}/removed"
    language = LanguageFilter(exclusion_writer=JsonlWriter(f"{removed}/2_non_english"))
    language.model._model = model
    steps = [
        WarcReader(source, default_metadata={"dump": "bench"}),
        urls,
        Trafilatura(favour_precision=True, timeout=30),
        language,
        GopherRepetitionFilter(exclusion_writer=JsonlWriter(f"{removed}/3_gopher_rep")),
        GopherQualityFilter(exclusion_writer=JsonlWriter(f"{removed}/4_gopher_qual")),
        C4QualityFilter(filter_no_terminal_punct=False, exclusion_writer=JsonlWriter(f"{removed}/5_c4")),
        FineWebQualityFilter(exclusion_writer=JsonlWriter(f"{removed}/6_fineweb_qual")),
        JsonlWriter(f"{target}/output"),
    ]
    documents = None
    for step in steps:
        documents = step(documents, 0, 1)
    for _ in documents:
        pass


def url_filter(target: str) -> URLFilter:
    """The filter with its block lists loaded."""
    made = URLFilter(exclusion_writer=JsonlWriter(f"{target}/removed/1_url"))
    made.tldextractor = TLDExtract(suffix_list_urls=())
    made.download_data()
    return made


def cpu_seconds() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def num_lines(folder: Path) -> int:
    """Documents in a folder of gzipped JSON Lines."""
    return sum(sum(1 for _ in gzip.open(file)) for file in folder.rglob("*.jsonl.gz"))


def main(warm: str, source: str, model_file: str, target: str) -> None:
    """Warm up, run, and print the CPU seconds, the peak of memory and how many documents are left."""
    logger.remove()
    model = _FastText(model_file)
    urls = url_filter(target)
    run(warm, model, urls, f"{target}/warm")
    urls.exclusion_writer = JsonlWriter(f"{target}/removed/1_url")
    start = cpu_seconds()
    run(source, model, urls, target)
    cpu_s = cpu_seconds() - start
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    removed = {folder.name: num_lines(folder) for folder in Path(target, "removed").iterdir()}
    print(json.dumps({"cpu_s": cpu_s, "peak_mb": peak / 1024, "kept": num_lines(Path(target, "output"))} | removed))


if __name__ == "__main__":
    main(*sys.argv[1:5])
