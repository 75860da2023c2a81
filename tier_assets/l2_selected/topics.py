"""Topics: how much of each named training domain a document has, from its embedding alone.

In: embeddings and the encoder that made them. Out: shares in 0 to 1 that sum to 1 over the topics. A topic is described
in a few written sentences; none was learnt from labels. Costs one encoding of the sentences a process, then
microseconds a document.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from resources.encoder import Encoder

# Units of 1e-4: shares are rounded so that they still sum to 1.
UNITS: Final = 10_000
TEMPERATURE: Final = 0.04


@dataclass(frozen=True, slots=True)
class Topic:
    """A training domain and what its documents are like; each sentence stands for a kind of them."""

    name: str
    sentences: tuple[str, ...]


TOPICS: Final = (
    Topic(
        "science",
        (
            "A scientific article on physics, chemistry or astronomy, with experiments, measurements and results.",
            "How plants and animals live, evolve and depend on their environment; cells, genes and proteins.",
            "Climate, geology, the oceans and energy, explained by researchers.",
        ),
    ),
    Topic(
        "mathematics",
        (
            "A theorem, its proof and the definitions and lemmas it needs: let X be a set and f a function on it.",
            "Algebra and geometry: polynomials, groups, modules, triangles and circles.",
            "Equations, integrals, matrices and numerical methods of mathematics and statistics.",
            "A word problem: how many are there in total, and how much does each cost? The answer step by step.",
        ),
    ),
    Topic(
        "computing",
        (
            "Source code of a program with functions, classes, variables and comments.",
            "import sys; def main(argv): for i in range(n): if x == 0: return None; print(x)  # public static void",
            "Documentation of a programming language, a library or a command.",
            "Help for users of software: open the dialogue, choose the menu item, click OK.",
            "Computers, servers, operating systems and networks, and how to repair them.",
            "Developers discuss a bug, a patch or a mail filter on a mailing list.",
        ),
    ),
    Topic(
        "health",
        (
            "A disease, its symptoms, causes, diagnosis and treatment.",
            "A clinical study of patients, a drug, its dose and side effects.",
            "Advice of doctors on nutrition, exercise, pregnancy and mental health.",
        ),
    ),
    Topic(
        "law_and_government",
        (
            "A law, a court's judgement, a contract or the rights of citizens.",
            "The president speaks to the nation and to congress on policy, war and peace.",
            "Elections, parties, parliament, ministers and foreign policy in the news.",
        ),
    ),
    Topic(
        "business",
        (
            "A company reports its quarterly earnings, net loss, dividend and shares; a merger is announced.",
            "Markets, trade, banks, interest rates, currencies and the prices of oil, grain and metals.",
            "The economy, employment, taxes, insurance and how to manage a business.",
        ),
    ),
    Topic(
        "history",
        (
            "What happened in past centuries: wars, empires, kings and revolutions.",
            "An ancient civilisation, archaeology and the origins of a people.",
            "The biography of a person of the past.",
        ),
    ),
    Topic(
        "places_and_travel",
        (
            "A country: its location, area, climate, population and borders.",
            "A guide for travellers to a city, its sights, hotels and restaurants.",
            "Maps, roads, airports, rivers and mountains of a region.",
        ),
    ),
    Topic(
        "arts_and_entertainment",
        (
            "A review of a film: its plot, actors, director and scenes.",
            "Music, concerts, albums, television, video games and celebrities.",
            "Painting, photography, theatre, museums and design.",
        ),
    ),
    Topic(
        "literature",
        (
            "A chapter of a novel in which characters talk, feel and act.",
            "A poem, a fairy tale or a short story of adventures.",
            "He looked at her and said nothing; the old house was silent in the evening.",
        ),
    ),
    Topic(
        "sport",
        (
            "A football, basketball or tennis match: the score, the players and the coach.",
            "The league, the season, the championship and the Olympic games.",
        ),
    ),
    Topic(
        "religion",
        (
            "God, prayer, faith and the teachings of the Bible.",
            "The church, Islam, Judaism, Buddhism, Hinduism and their rites.",
        ),
    ),
    Topic(
        "home_and_hobbies",
        (
            "A recipe with its ingredients and how to cook it.",
            "The garden, pets, furniture, repairs at home and handicraft.",
            "Family life, children, clothes, cars and hobbies.",
        ),
    ),
    Topic(
        "advertising",
        (
            "Buy now! A special offer, free shipping, a low price guaranteed, order today.",
            "Make money fast from home, click here, you have won.",
            "Products in an online shop: add to cart, sign up for our newsletter.",
        ),
    ),
)


def topic_shares(vectors: np.ndarray, encoder: Encoder) -> pl.DataFrame:
    """For each of `vectors` [N, D] one column `topic_<name>` a topic: Float64, multiples of 1e-4 that sum to 1.

    A topic's likeness is the mean of two cosines: with the nearest of its sentences, and with all of them together;
    the shares are the softmax of likeness over TEMPERATURE.
    """
    nearest_SD, whole_TD, starts = _descriptions(encoder)
    vectors_ND = np.asarray(vectors, np.float32)
    nearest_NT = np.maximum.reduceat(vectors_ND @ nearest_SD.T, starts, axis=1)
    likeness_NT = (nearest_NT + vectors_ND @ whole_TD.T).astype(np.float64) / 2
    shares_NT = np.exp((likeness_NT - likeness_NT.max(axis=1, keepdims=True)) / TEMPERATURE)
    units_NT = _whole_units(shares_NT / shares_NT.sum(axis=1, keepdims=True))
    return pl.DataFrame({f"topic_{t.name}": units_NT[:, n] / UNITS for n, t in enumerate(TOPICS)})


@functools.lru_cache(maxsize=2)
def _descriptions(encoder: Encoder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The vectors of all sentences, topic by topic [S, D]; each topic's mean direction [T, D]; where each starts."""
    starts = np.cumsum([0, *(len(topic.sentences) for topic in TOPICS[:-1])])
    sentences_SD = encoder.encode([sentence for topic in TOPICS for sentence in topic.sentences])
    whole_TD = np.add.reduceat(sentences_SD, starts, axis=0)
    return sentences_SD, whole_TD / np.linalg.norm(whole_TD, axis=1, keepdims=True), starts


def _whole_units(shares_NT: np.ndarray) -> np.ndarray:
    """Shares in whole units that sum to UNITS: the largest remainders are rounded up, the first topic on a tie."""
    units_NT = np.floor(shares_NT * UNITS)
    missing_N = np.rint(UNITS - units_NT.sum(axis=1))
    ranks_NT = np.argsort(np.argsort(units_NT - shares_NT * UNITS, axis=1, kind="stable"), axis=1, kind="stable")
    return units_NT + (ranks_NT < missing_N[:, None])
