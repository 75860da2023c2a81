"""Benchmark files in the layouts that they are published in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from tier_assets.l1_filtered.benchmark_items import benchmark_items

SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Zürich",
            "paragraphs": [
                {
                    "context": "Zürich lies on\n\nthe Limmat.",
                    "qas": [
                        {"id": "q1", "question": "Where?", "answers": [{"text": "Limmat", "answer_start": 15}] * 3},
                        {
                            "id": "q2",
                            "question": "What lies there?",
                            "answers": [{"text": "Zürich", "answer_start": 0}],
                        },
                    ],
                }
            ],
        }
    ],
}
LAYOUTS = [
    ("a.jsonl", '{"question": "Why?", "answer": "So."}\n\n{"question": "Who?", "answer": "I."}\n',
     [("0", "Why?\n\nSo."), ("1", "Who?\n\nI.")]),
    ("a.json", json.dumps(SQUAD),
     [("q1", "Zürich lies on\nthe Limmat.\n\nWhere?\n\nLimmat"),
      ("q2", "Zürich lies on\nthe Limmat.\n\nWhat lies there?\n\nZürich")]),
    ("a.json", '{"11": {"QUESTION": "Q?", "CONTEXTS": ["one", "two"], "LONG_ANSWER": "yes it is", "YEAR": "2010"}}',
     [("11", "Q?\n\none\ntwo\n\nyes it is")]),
    ("a.json", '{"id": "x", "question": "Which?", "choices": {"text": ["this", "that"], "label": ["A", "B"]}}',
     [("x", "Which?\n\nthis\nthat")]),
    ("a.jsonl", '{"QuestionId": 3, "Question": "Who?", "Answer": {"Value": "Ann", "Alias": ["A."]}, "answerKey": 1}',
     [("3", "Who?\n\nAnn\nA.")]),
    ("a.jsonl", '{"question": "Why?", "question_type": "open", "answer_url": "x.org", "notes": [{"by": "Ann"}]}',
     [("0", "Why?")]),
    ("a.json", '[{"passage": {"text": "Long.", "questions": [{"question": "q1", "idx": 1}, {"question": "q2"}]}}]',
     [("0", "Long.\n\nq1"), ("1", "Long.\n\nq2")]),
    ("a.json", '{"id": 1, "prompt": "def f():\\n\\n  pass", "canonical_solution": "return 1", "meta": {"n": 1}}',
     [("1", "def f():\npass\n\nreturn 1")]),
    ("a.jsonl", '{"id": 1, "question": "a"}\n{"id": 1, "question": "b"}', [("0", "a"), ("1", "b")]),
    ("a.json", '["first riddle", "second riddle"]', [("0", "first riddle"), ("1", "second riddle")]),
    ("a.csv", 'id,question,A,B,answer\n7,"Why, \nthen?",x,y,A\n', [("7", "Why, \nthen?\n\nx\n\ny\n\nA")]),
    ("a.tsv", "question\tanswer\nWhy?\tSo.\n", [("0", "Why?\n\nSo.")]),
    ("a.txt", "first\nriddle\n\nsecond\n", [("0", "first\nriddle"), ("1", "second")]),
    ("a.txt", "first riddle\nsecond riddle\n", [("0", "first riddle"), ("1", "second riddle")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "items"), LAYOUTS)
def test_benchmark_items_of_a_layout(tmp_path: Path, name: str, content: str, items: list[tuple[str, str]]) -> None:
    (tmp_path / name).write_text(content)
    assert benchmark_items(tmp_path / name).rows() == items
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    assert benchmark_items(tmp_path / f"{name}.gz").rows() == items


def test_benchmark_items_of_parquet_with_lists(tmp_path: Path) -> None:
    pl.DataFrame({"ctx": ["A man"], "endings": [["runs", "sits"]], "label": ["0"]}).write_parquet(
        tmp_path / "a.parquet"
    )
    assert benchmark_items(tmp_path / "a.parquet").rows() == [("0", "A man\n\nruns\nsits")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.docx", "x", r"unknown benchmark format '.docx' of 'a.docx'; known: .jsonl, .*\.md"),
        ("a.jsonl", '{"question": "x"}\n{"question": \n', "line 2 of 'a.jsonl' is no JSON"),
        ("a.json", '[{"colour": "red"}]', r"no field of \['colour'\] is named as a question.*known: a, answer"),
        ("a.csv", "", "no item in 'a.csv'"),
        ("a.txt", "\n\n", "no item in 'a.txt'"),
    ],
)
def test_benchmark_items_of_a_bad_file_say_what_is_wrong(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=said):
        benchmark_items(tmp_path / name)


def test_benchmark_items_of_a_missing_file_raise(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        benchmark_items(tmp_path / "a.jsonl")
