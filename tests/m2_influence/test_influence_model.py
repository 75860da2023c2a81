"""Influence models on labels whose truth is known: counts of words plus noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from resources.encoder import bundled_folder
from resources.training_data import learn_tokenizer
from tier_assets.m2_influence.encoder_model import EncoderLearner, EncoderModel
from tier_assets.m2_influence.influence_model import Settings, drift, fit, load, predict_flops

GOOD, BAD = ("river", "stone", "lantern"), ("coupon", "click", "unsubscribe")
FILLER = tuple(f"w{n}" for n in range(60))
SHIFT = {"news": 1.0, "mail": -1.0, "books": 0.0}


def labels(num: int, seed: int = 0, noise: float = 0.3, weight: float = 1.0) -> pl.DataFrame:
    """Windows of 40 words; the score is the domain's shift, plus 1 a good word, minus 1 a bad one, plus noise."""
    random = np.random.default_rng(seed)
    rows = []
    for n in range(num):
        words = random.choice(FILLER, 40).tolist()
        good, bad = random.integers(0, 4, 2)
        words += random.choice(GOOD, good).tolist() + random.choice(BAD, bad).tolist()
        random.shuffle(words)
        domain = sorted(SHIFT)[n % 3]
        score = SHIFT[domain] + weight * float(good - bad) + noise * random.normal()
        rows.append((f"d{seed}-{n}", domain, " ".join(words), score))
    found = pl.DataFrame(rows, schema=["doc_id", "domain", "text", "score"], orient="row")
    return found.with_columns((pl.col("score") - pl.col("score").mean()) / pl.col("score").std())


def test_fit_scores_made_of_words_are_recovered_on_new_texts() -> None:
    fitted = fit(labels(800))
    new = labels(300, seed=1)
    score, uncertainty = load(fitted.artefact).predict(new["text"], new["domain"])
    assert np.corrcoef(score, new["score"])[0, 1] > 0.85
    assert fitted.beats_domain_mean
    assert fitted.refused is None
    assert (uncertainty > 0).all()


def test_fit_only_domains_matter_is_recorded_as_not_beating_their_means() -> None:
    fitted = fit(labels(400, noise=1.0, weight=0.0).with_columns(text=pl.lit("always the same")))
    assert fitted.spearman_domain_mean is not None
    assert fitted.spearman_domain_mean > 0.3
    assert not fitted.beats_domain_mean
    assert fitted.refused is not None
    assert "no better than the domain's mean" in fitted.refused


def test_fit_noise_beats_the_domain_mean_no_more_often_than_chance() -> None:
    found = [fit(labels(150, seed=seed, noise=1.0, weight=0.0)) for seed in range(20)]
    assert sum(fitted.beats_domain_mean for fitted in found) <= 3
    assert abs(np.mean([fitted.spearman_within for fitted in found])) < 0.07


def test_fit_same_labels_give_the_same_bytes() -> None:
    assert fit(labels(200)).artefact == fit(labels(200)).artefact


def test_hidden_ridge_states_that_hold_the_score_are_read() -> None:
    known, random = labels(300, weight=0.0, noise=1.0), np.random.default_rng(0)
    hidden = random.normal(size=(300, 8)).astype(np.float32)
    hidden[:, 3] += 3 * known["score"].to_numpy()
    fitted = fit(known, Settings(kind="hidden_ridge"), hidden)
    assert fitted.spearman is not None
    assert fitted.spearman > 0.9
    score, _ = load(fitted.artefact).predict(known["text"], known["domain"], hidden)
    assert np.corrcoef(score, known["score"])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (labels(49), "at least 50 labels, got 49"),
        (labels(60).with_columns(score=pl.lit(0.5)), "all 60 labels have the same score"),
        (labels(60).with_columns(score=pl.lit(float("nan"))), "60 labels have a score that is not finite"),
        (labels(60).with_columns(text=pl.lit(" \n")), "no label has any text"),
        (labels(60).with_columns(domain=pl.lit(None, pl.String)), "a null in \\['domain'\\]"),
        (labels(60).drop("text"), "lack the columns \\['text'\\]"),
    ],
)
def test_fit_labels_that_cannot_be_learnt_from_are_refused(bad: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(bad)


def test_drift_is_nothing_for_the_same_order_and_two_for_the_opposite() -> None:
    before = np.array([0.1, 0.2, 0.9])
    assert drift(before, before * 5) == 0.0
    assert drift(before, -before) == 2.0
    assert drift(before, np.ones(3)) == 1.0


def test_fit_predictions_are_in_the_unit_of_the_labels_and_their_errors_are_known() -> None:
    known, new = labels(1_200).head(600), labels(1_200).tail(600)
    score, uncertainty = load(fit(known).artefact).predict(new["text"], new["domain"])
    true = new["score"].to_numpy()
    assert np.polyfit(score, true, 1)[0] == pytest.approx(1.0, abs=0.1)
    assert 0.90 < np.mean(np.abs(true - score) <= 1.96 * uncertainty) < 0.99


def test_fit_a_noisy_domain_has_the_larger_uncertainty() -> None:
    random, known = np.random.default_rng(0), labels(600)
    noise = pl.Series(random.normal(size=600)) * pl.Series((known["domain"] == "mail").cast(pl.Float64))
    fitted = fit(known.with_columns(score=pl.col("score") + 2 * noise))
    _, uncertainty = load(fitted.artefact).predict(pl.Series(["w1 river", "w1 river"]), pl.Series(["mail", "news"]))
    assert uncertainty[0] > 1.5 * uncertainty[1]


def test_fit_labels_in_another_order_keep_their_folds() -> None:
    known = labels(200)
    assert fit(known).spearman == pytest.approx(fit(known.sample(fraction=1, shuffle=True, seed=1)).spearman, abs=0.02)


def test_fit_one_domain_is_judged_within_it() -> None:
    fitted = fit(labels(300).with_columns(domain=pl.lit("all")))
    assert fitted.spearman_across is None
    assert fitted.spearman_domain_mean is None or abs(fitted.spearman_domain_mean) < 0.3
    assert fitted.beats_domain_mean


def test_fit_domains_too_small_to_be_judged_within_say_so() -> None:
    known = labels(90).with_columns(domain=pl.format("domain {}", pl.int_range(90) % 9))
    fitted = fit(known)
    assert fitted.spearman_within is None
    assert not fitted.beats_domain_mean
    assert fitted.refused == "no domain has 20 labels to be judged within"


def test_predict_unknown_domain_has_a_score_of_its_text_alone() -> None:
    model = load(fit(labels(600)).artefact)
    texts = pl.Series(["w1 w2 river stone lantern " * 9, "w1 w2 coupon click unsubscribe " * 9])
    score, uncertainty = model.predict(texts, pl.Series(["unheard", "unheard"]))
    assert score[0] > score[1]
    for known in SHIFT:
        there, error = model.predict(texts, pl.Series([known, known]))
        assert (there != score).all()
        assert (error < uncertainty).all()


def test_predict_long_document_scores_like_its_windows() -> None:
    model, windows = load(fit(labels(600)).artefact), labels(2, seed=5)
    long = " ".join([windows["text"][0]] * 40)
    domains = pl.Series(["news"])
    apart, _ = model.predict(windows["text"][:1], domains)
    joined, _ = model.predict(pl.Series([long]), domains)
    assert joined[0] == pytest.approx(apart[0], abs=0.3)


def test_predict_empty_and_null_texts_have_a_finite_score() -> None:
    score, _ = load(fit(labels(100)).artefact).predict(pl.Series(["", None]), pl.Series(["news", "news"]))
    assert np.isfinite(score).all()
    assert score[0] == score[1]


def test_predict_fewer_domains_than_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="2 texts need as many domains, got 1"):
        load(fit(labels(60)).artefact).predict(pl.Series(["a", "b"]), pl.Series(["news"]))


def test_fit_tokens_of_the_training_model_are_the_features() -> None:
    known = labels(200)
    tokenizer = learn_tokenizer(known["text"].to_list(), 300)
    assert fit(known, tokenizer=tokenizer.to_str()).version != fit(known).version
    # No byte-level merges can be read off it: a vocabulary is learnt instead.
    assert fit(known, tokenizer='{"model": {"type": "Unigram", "vocab": []}}').version == fit(known).version


def test_hidden_ridge_without_states_or_of_another_width_is_refused() -> None:
    known, settings = labels(60), Settings(kind="hidden_ridge")
    with pytest.raises(ValueError, match=r"needs hidden states \[60, width\], got None"):
        fit(known, settings)
    states = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    model = load(fit(known, settings, states).artefact)
    with pytest.raises(ValueError, match="hidden states of width 3, learnt from 4"):
        model.predict(known["text"], known["domain"], states[:, :3])
    with pytest.raises(ValueError, match="not finite"):
        fit(known, settings, states * np.nan)


def test_load_bytes_that_are_no_model_are_refused() -> None:
    for artefact in (b"", b"no zip", fit(labels(60)).artefact[:-200]):
        with pytest.raises(ValueError, match="not an influence model of this version"):
            load(artefact)


def test_predict_flops_grow_with_the_pool_and_the_network() -> None:
    text = predict_flops("ngram_ridge", 1_000, 128_000)
    assert 0 < text < predict_flops("hidden_ridge", 1_000, 128_000, 400_000) == text + 2 * 400_000 * 128_000
    assert predict_flops("encoder", 10, 1_000_000, 10) == 2 * 10 * 2_560


@pytest.fixture(scope="module")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real encoder of 20,000 weights that were never trained, and its tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[UNK]", *FILLER, *GOOD, *BAD]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_encoder_learns_and_predicts_as_the_other_kinds_do(small_encoder: Path) -> None:
    known, settings = labels(120, noise=0.1), Settings(kind="encoder", folds=2)
    fitted = fit(known, settings, encoder=small_encoder)
    assert fitted.spearman_across is None
    assert fitted.flops > 0
    model = load(fitted.artefact)
    score, uncertainty = model.predict(known["text"], known["domain"], encoder=small_encoder)
    assert np.isfinite(score).all()
    assert (uncertainty > 0).all()
    again, _ = model.predict(known["text"][5:8], known["domain"][5:8], encoder=small_encoder)
    assert np.abs(again - score[5:8]).max() < 0.02
    assert fit(known, settings, encoder=small_encoder).version == fitted.version


@pytest.mark.slow
def test_encoder_without_its_folder_is_refused(small_encoder: Path) -> None:
    known = labels(60)
    with pytest.raises(ValueError, match="needs the folder of a Hugging Face encoder, got None"):
        fit(known, Settings(kind="encoder"))
    model = load(fit(known, Settings(kind="encoder", folds=2), encoder=small_encoder).artefact)
    with pytest.raises(ValueError, match="needs the folder of a Hugging Face encoder, got None"):
        model.predict(known["text"], known["domain"])


@pytest.mark.slow
def test_encoder_of_sentences_learns_which_words_help() -> None:
    known, new = labels(260, noise=0.1).head(200), labels(260, noise=0.1).tail(60)
    found = EncoderLearner(known["text"], bundled_folder())
    learnt = found.learn(np.arange(200), known["score"].to_numpy(), found.settings[0])
    assert not any(name.startswith("embeddings.") for name in learnt)
    values = EncoderModel(found.packed(learnt)).predict(new["text"], bundled_folder())
    assert np.corrcoef(values, new["score"])[0, 1] > 0.3
