"""Fitting the line model: from labelled lines and from extracted texts, to a file that tells noise from text."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tier_assets.l1_filtered.learn_line_noise import learn, read_documents
from tier_assets.l1_filtered.line_features import read_lines

NOUNS = ("river", "bridge", "mayor", "market", "school", "garden", "winter", "harbour")


def page(number: int) -> tuple[list[str], list[int]]:
    """Sentences with a menu above and below, by number."""
    nouns = [NOUNS[(number * 3 + step) % len(NOUNS)] for step in range(4)]
    sentences = [f"The {a} stood by the {b} until the old {c} came back." for a, b, c in zip(nouns, nouns[1:], nouns)]
    menu = [f"{nouns[0].title()} | Contact | Login", "Subscribe | Newsletter"]
    return [*menu, *sentences, *menu], [0, 0, *[1] * len(sentences), 0, 0]


def written(path: Path, records: list[dict[str, object]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return path


def test_learn_menus_and_sentences_are_told_apart(tmp_path):
    pages = [page(number) for number in range(60)]
    records = [{"id": f"p{n}", "lines": lines, "labels": labels} for n, (lines, labels) in enumerate(pages)]
    model = learn(list(read_documents(written(tmp_path / "a.jsonl.gz", records), None)))
    lines, labels = page(77)
    share_L = model.shares(read_lines("\n".join(lines)))
    assert [int(share < 0.5) for share in share_L] == labels


def test_read_documents_extracted_line_that_gold_lacks_is_noise(tmp_path):
    text = "Log in\n\nThe river stood by the mill, and the mayor came back.\n--\nThe river"
    gold = "The river stood by the mill and then the mayor came back."
    (document,) = read_documents(
        written(
            tmp_path / "a.jsonl.gz", [{"id": "x", "text": text, "gold": gold}, {"id": "y", "text": "", "gold": ""}]
        ),
        None,
    )
    assert document.noise_L.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("record", "message"),
    [({"id": "x", "text": "a"}, "neither labels nor gold"), ({"id": "x", "lines": ["a"], "labels": []}, "0 labels")],
)
def test_read_documents_bad_line_is_refused(tmp_path, record, message):
    with pytest.raises(ValueError, match=message):
        list(read_documents(written(tmp_path / "a.jsonl.gz", [record]), None))


def test_read_documents_half_holds_only_its_ids(tmp_path):
    path = written(tmp_path / "a.jsonl.gz", [{"id": f"{n}", "lines": ["a"], "labels": [1]} for n in range(20)])
    halves = [len(list(read_documents(path, half))) for half in (0, 1)]
    assert sum(halves) == 20
    assert min(halves) > 0
