"""Shares, the scripted model, the replay cache on a real lake, and what a setting names."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.lake import Lake
from resources.language_models import Replayed, Usage, open_model
from resources.language_models.endpoint import EndpointModel
from resources.language_models.protocol import to_shares
from resources.language_models.resource import GpuLanguageModel
from resources.language_models.scripted import ScriptedModel
from resources.language_models.vllm_engine import VllmModel, shared_encode
from resources.tokenizer import tokenizer


@pytest.fixture
def lake(tmp_path) -> Lake:
    made = Lake(root=str(tmp_path / "lake"))
    made.create()
    return made


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ([1.0], (1.0,)),
        ([1, 1, 1], (0.3334, 0.3333, 0.3333)),
        ([0, 3, 1], (0.0, 0.75, 0.25)),
        ([1, 1e-9], (1.0, 0.0)),
        ([2, 2, 2, 1], (0.2857, 0.2857, 0.2857, 0.1429)),
    ],
)
def test_to_shares_weights_become_steps_that_sum_to_one(weights, shares) -> None:
    assert to_shares(weights) == shares


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_to_shares_any_weights_sum_to_one_and_stay_close(weights) -> None:
    shares = to_shares(weights)
    assert math.isclose(sum(shares), 1.0, abs_tol=1e-12)
    assert all(abs(s - w / sum(weights)) < 1.01e-4 for s, w in zip(shares, weights))


def test_usage_sum_adds_every_field() -> None:
    assert Usage(1, 2, 3, 4, 5, 6.0, 7.0) + Usage(10, 20, 30, 40, 50, 60.0, 70.0) == Usage(
        11, 22, 33, 44, 55, 66.0, 77.0
    )


def test_scripted_model_answers_in_order_and_errors_are_values() -> None:
    model = ScriptedModel(lambda p: {"a": "one two three", "b": "!refused", "c": " "}[p])
    replies = model.complete(["a", "b", "c"], max_tokens=2)
    assert [(r.text, r.error) for r in replies] == [("one two", None), (None, "refused"), (None, "empty")]


def test_scripted_model_chooses_by_weights() -> None:
    replies = ScriptedModel(choice=lambda p, options: [len(p), 1]).choose(["x", "yyy"], ["0", "1"])
    assert [r.probabilities for r in replies] == [(0.5, 0.5), (0.75, 0.25)]


def test_replayed_second_time_asks_nothing_and_gives_the_same_replies(lake) -> None:
    model = ScriptedModel(lambda p: p.upper(), lambda p, options: [1, 3])
    first, again = Replayed(model, lake, "edit@1"), Replayed(model, lake, "edit@1")
    calls = [lambda m: m.complete(["a b", "c"], max_tokens=9), lambda m: m.choose(["a b", "c"], ["0", "1"])]
    replies = [call(first) for call in calls]
    assert [call(again) for call in calls] == replies
    assert model.prompts == ["a b", "c"] * 2
    assert (first.usage.num_asked, first.usage.num_replayed) == (4, 0)
    assert (first.usage.prompt_tokens, first.usage.output_tokens) == (6, 5)
    assert (again.usage.num_asked, again.usage.num_replayed) == (0, 4)
    assert (again.usage.prompt_tokens, again.usage.output_tokens) == (0, 0)


@pytest.mark.parametrize(
    "other",
    [
        lambda m, lake: Replayed(m, lake, "edit@2").complete(["a"], max_tokens=9),
        lambda m, lake: Replayed(m, lake, "edit@1").complete(["a"], max_tokens=8),
        lambda m, lake: Replayed(m, lake, "edit@1").complete(["a"], max_tokens=9, system="s"),
        lambda m, lake: Replayed(m, lake, "edit@1").complete(["a"], max_tokens=9, temperature=0.5),
        lambda m, lake: Replayed(m, lake, "edit@1").complete(["a"], max_tokens=9, json_schema={"type": "object"}),
        lambda m, lake: Replayed(m, lake, "edit@1").choose(["a"], ["0", "1"]),
    ],
)
def test_replayed_another_question_is_asked(lake, other) -> None:
    model = ScriptedModel()
    Replayed(model, lake, "edit@1").complete(["a"], max_tokens=9)
    other(model, lake)
    assert model.prompts == ["a", "a"]


def test_replayed_seed_matters_only_when_sampling(lake) -> None:
    model = ScriptedModel()
    replayed = Replayed(model, lake, "edit@1")
    for temperature, seed in [(0.0, 1), (0.0, 2), (0.7, 1), (0.7, 2), (0.7, 1)]:
        replayed.complete(["a"], max_tokens=9, temperature=temperature, seed=seed)
    assert replayed.usage.num_asked == 3


def test_replayed_prompt_that_stands_twice_is_asked_once(lake) -> None:
    model = ScriptedModel(lambda p: p * 2)
    replayed = Replayed(model, lake, "edit@1")
    assert [r.text for r in replayed.complete(["a", "b", "a"], max_tokens=9)] == ["aa", "bb", "aa"]
    assert model.prompts == ["a", "b"]
    assert (replayed.usage.num_asked, replayed.usage.num_replayed) == (2, 1)


def test_replayed_time_out_is_asked_again_and_refusal_is_not(lake) -> None:
    model = ScriptedModel(lambda p: f"!{p}")
    for _ in range(2):
        replies = Replayed(model, lake, "edit@1").complete(["timed_out", "refused"], max_tokens=9)
        assert [r.error for r in replies] == ["timed_out", "refused"]
    assert model.prompts == ["timed_out", "refused", "timed_out"]


def test_replayed_stopped_midway_keeps_what_was_answered(lake) -> None:
    prompts = [f"p{i}" for i in range(700)]

    def dies(prompt: str) -> str:
        if prompt == "p600":
            raise KeyboardInterrupt
        return prompt

    first = Replayed(ScriptedModel(dies), lake, "edit@1")
    with pytest.raises(KeyboardInterrupt):
        first.complete(prompts, max_tokens=9)
    second = ScriptedModel()
    done: list[int] = []
    replies = Replayed(second, lake, "edit@1").complete(prompts, max_tokens=9, progress=done.append)
    assert len(second.prompts) == 700 - first.usage.num_asked
    assert 600 - 4 <= first.usage.num_asked <= 600 + 4  # but what was under way
    assert [r.text for r in replies] == prompts
    assert done == list(range(1, 701))


def test_replayed_no_prompts_gives_no_replies(lake) -> None:
    assert Replayed(ScriptedModel(), lake, "edit@1").complete([], max_tokens=9) == []


def test_open_model_bundled_is_named_with_its_revision_before_any_engine(monkeypatch) -> None:
    monkeypatch.delenv("LAKE_LLM", raising=False)
    model = open_model()
    assert isinstance(model, VllmModel)
    assert model.name.startswith("SmolLM2-135M-Instruct@0.1.2-")


def test_open_model_url_takes_the_name_after_the_hash_then_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("LAKE_LLM", "http://127.0.0.1:9/v1#qwen3")
    assert isinstance(open_model(), EndpointModel)
    assert open_model().name == "qwen3@127.0.0.1:9"
    monkeypatch.setenv("LAKE_LLM_MODEL", "smol")
    assert open_model("http://user:secret@127.0.0.1:9/v1").name == "smol@127.0.0.1:9"


def test_open_model_folder_is_named_by_its_content(tmp_path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"1")
    first = open_model(str(folder)).name
    assert first == open_model(str(folder)).name
    (folder / "model.safetensors").write_bytes(b"2")
    assert first.startswith("tiny@")
    assert open_model(str(folder)).name != first


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("bundeld", "unknown model 'bundeld'; known: 'bundled', a folder"),
        ("scripted", "unknown model 'scripted'"),
        ("no/such/folder", "unknown model 'no/such/folder'"),
        ("http:///v1", "names no host"),
    ],
)
def test_open_model_unknown_setting_names_it_and_the_known(setting, says) -> None:
    with pytest.raises(ValueError, match=says):
        open_model(setting)


def test_gpu_language_model_passes_its_setting_and_length() -> None:
    model = GpuLanguageModel(setting="bundled", max_model_len=512).open()
    assert isinstance(model, VllmModel)
    assert model.max_model_len == 512


def encode(texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)]


HEADS = st.text(alphabet="aé .\n1漢'", max_size=40)


@given(HEADS, HEADS, st.lists(HEADS, max_size=5))
def test_shared_encode_any_texts_are_encoded_as_they_are_one_by_one(head: str, more: str, tails: list[str]) -> None:
    texts = [f"{head}\nRate this document:{more}{tail}" for tail in tails]
    assert shared_encode(encode, texts) == encode(texts)


def test_shared_encode_what_texts_begin_with_is_encoded_once() -> None:
    head = "An example of a document.\n" * 50
    texts = [f"{head}What follows differs: {i}" for i in range(10)]
    asked: list[str] = []

    def counted(texts: Sequence[str]) -> list[list[int]]:
        asked.extend(texts)
        return encode(texts)

    assert shared_encode(counted, texts) == encode(texts)
    assert sum(text.startswith("An example of a document.\nAn") for text in asked) == 2


def test_shared_encode_tokenizer_that_marks_a_begin_is_given_whole_texts() -> None:
    def marking(texts: Sequence[str]) -> list[list[int]]:
        return [[0, *ids] for ids in encode(texts)]

    texts = [f"An example of a document.\nWhat follows differs: {i}" for i in range(3)]
    assert shared_encode(marking, texts) == marking(texts)
