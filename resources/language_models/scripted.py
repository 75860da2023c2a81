"""A language model whose answers are functions: for tests of logic. It counts white-space words as tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from resources.language_models.protocol import JsonSchema, Progress, Reply, failed, to_shares


class ScriptedModel:
    """Answers `answer(prompt)` and chooses by the weights `choice(prompt, options)`; `prompts` keeps what was asked.

    An answer that is one of the errors with a leading "!", such as "!timed_out", becomes that error.
    """

    name = "scripted@1"

    def __init__(
        self,
        answer: Callable[[str], str] = lambda prompt: prompt,
        choice: Callable[[str, Sequence[str]], Sequence[float]] = lambda prompt, options: [1.0] * len(options),
    ) -> None:
        self._answer = answer
        self._choice = choice
        self.prompts: list[str] = []

    def complete(
        self,
        prompts: Sequence[str],
        *,
        system: str = "",
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        json_schema: JsonSchema | None = None,
        progress: Progress | None = None,
    ) -> list[Reply]:
        """The scripted answers, cut to `max_tokens` words."""
        replies = []
        for prompt in self._asked(prompts, progress):
            text = self._answer(prompt)
            words = text.split()
            if text.startswith("!"):
                replies.append(failed(text[1:], _words(system, prompt)))
            elif not words:
                replies.append(failed("empty", _words(system, prompt)))
            else:
                cut = text if len(words) <= max_tokens else " ".join(words[:max_tokens])
                replies.append(Reply(cut, None, None, _words(system, prompt), 0, min(len(words), max_tokens)))
        return replies

    def choose(
        self, prompts: Sequence[str], options: Sequence[str], *, system: str = "", progress: Progress | None = None
    ) -> list[Reply]:
        """The scripted weights as probabilities."""
        return [
            Reply(None, to_shares(self._choice(p, options)), None, _words(system, p), 0, 1)
            for p in self._asked(prompts, progress)
        ]

    def _asked(self, prompts: Sequence[str], progress: Progress | None) -> Sequence[str]:
        self.prompts += prompts
        if progress is not None:
            progress(len(prompts))
        return prompts


def _words(system: str, prompt: str) -> int:
    return len(system.split()) + len(prompt.split())
