"""The real engine with the bundled model: order, limits, schema, choices, prefix cache, one engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from resources.language_models import MAX_MODEL_LEN, open_model
from resources.language_models.protocol import Request
from resources.language_models.vllm_engine import VllmModel, engine

pytestmark = pytest.mark.slow

SYSTEM = "You rate texts. " + "Answer with one digit from 0 to 5 and nothing else. " * 8
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 40}, "year": {"type": "integer"}},
    "required": ["name", "year"],
}


@pytest.fixture(scope="module")
def model() -> VllmModel:
    # The default length: the tests of the demo lake in the same process share the engine.
    opened = open_model("bundled")
    assert isinstance(opened, VllmModel)
    return opened


def test_complete_first_call_starts_the_engine_silently_and_leaves_the_environment(model, capfd, monkeypatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert model.complete(["Say hello."], max_tokens=2)[0].error is None
    assert capfd.readouterr().out == ""
    assert "LD_PRELOAD" not in os.environ


def test_complete_more_prompts_than_there_is_room_for_keep_order(model, monkeypatch) -> None:
    monkeypatch.setattr("resources.language_models.vllm_flight.BATCHES", 8 / 256)  # of a batch's 256 requests
    animals = ["cat", "dog", "horse", "cow", "sheep"] * 4
    done: list[int] = []
    replies = model.complete([f"Repeat this word: {a}" for a in animals], max_tokens=12, progress=done.append)
    # The 135M model repeats most words; had order been lost, few replies would bear their own.
    assert sum(a in (r.text or "").lower() for a, r in zip(animals, replies, strict=True)) >= 15
    assert done == list(range(1, 21))


def test_complete_prompt_too_long_is_a_value_and_the_others_answer(model) -> None:
    replies = model.complete(["Say hello.", "word " * 3_000, "Say hello."], max_tokens=8)
    assert [r.error for r in replies] == [None, "too_long", None]
    assert replies[1].prompt_tokens > 3_000
    assert replies[0].text == replies[2].text
    assert 0 < replies[0].output_tokens <= 8


def test_complete_room_for_prompt_and_reply_is_exact(model) -> None:
    (probe,) = model.complete(["word"], max_tokens=1)
    words = MAX_MODEL_LEN - probe.prompt_tokens - 1  # each further word is one token, the reply another
    (fits,) = model.complete(["word" + " word" * words], max_tokens=1)
    (too_long,) = model.complete(["word" + " word" * (words + 1)], max_tokens=1)
    assert (fits.prompt_tokens, too_long.prompt_tokens) == (MAX_MODEL_LEN - 1, MAX_MODEL_LEN)
    assert too_long.error == "too_long"
    assert fits.error != "too_long"
    assert fits.output_tokens == 1


def test_complete_json_schema_parses_or_is_malformed(model) -> None:
    prompts = ["Ada Lovelace was born in 1815.", "Alan Turing was born in 1912."]
    for reply in model.complete(prompts, max_tokens=60, json_schema=PERSON):
        assert reply.error is None
        assert set(json.loads(reply.text)) == {"name", "year"}
    (cut,) = model.complete(prompts[:1], max_tokens=4, json_schema=PERSON)
    assert cut.error == "malformed"


def test_complete_control_token_in_a_document_does_not_end_the_turn(model) -> None:
    plain, spelt = model.complete(["Text: a b c", "Text: a<|im_end|>b c"], max_tokens=1)
    assert spelt.prompt_tokens > plain.prompt_tokens + 2


def test_choose_probabilities_sum_to_one_and_repeat(model) -> None:
    texts = ["Water boils at 100 degrees.", "Buy now!!! $$$", "The cell is the unit of life."]
    first = model.choose(texts, ["0", "1", "2", "3", "4", "5"], system=SYSTEM)
    again = model.choose(texts, ["0", "1", "2", "3", "4", "5"], system=SYSTEM)
    for reply, repeated in zip(first, again, strict=True):
        assert sum(reply.probabilities) == pytest.approx(1.0, abs=1e-9)
        assert all(p == round(p, 4) for p in reply.probabilities)
        # The second time the prefix comes from the cache, in bf16: equal to its precision, not to the bit.
        assert reply.probabilities == pytest.approx(repeated.probabilities, abs=0.02)
        assert repeated.cached_prompt_tokens >= 96
    assert len({r.probabilities for r in first}) == 3


def test_choose_option_of_two_tokens_is_named(model) -> None:
    with pytest.raises(ValueError, match="option 'hippopotamus' is"):
        model.choose(["Which?"], ["1", "hippopotamus"])


def test_engine_two_models_of_one_setting_share_it(model) -> None:
    other = open_model("bundled")
    assert isinstance(other, VllmModel)
    assert other is not model
    assert engine(str(other._folder), other.max_model_len) is engine(str(model._folder), model.max_model_len)


def test_complete_caller_that_stops_midway_leaves_the_engine_usable(model) -> None:
    def stop(num_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.complete(["Count to ten.", "Write a poem."], max_tokens=30, progress=stop)
    assert not engine(str(model._folder), MAX_MODEL_LEN).llm_engine.has_unfinished_requests()
    assert model.complete(["Say hello."], max_tokens=4)[0].error is None


def test_engine_folder_without_a_model_is_one_clear_error(tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    code = (
        "from resources.language_models.vllm_engine import engine\n"
        f"try: engine({str(tmp_path)!r}, 64)\n"
        "except RuntimeError as e: print(str(e).splitlines()[0])"
    )
    env = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"vLLM cannot start with the model {tmp_path}")


def test_ask_for_samples_of_prompts_that_do_not_fit_into_one_step_gives_each_a_reply(model: VllmModel) -> None:
    prompts = [f"Text {n}: {'the bridge over the river stood for years. ' * 40}" for n in range(40)]
    requests = [Request(p, 4, temperature=0.7, sample=sample) for p in prompts for sample in range(2)]
    assert sorted(place for place, reply in model.ask(requests) if reply.text) == list(range(80))
