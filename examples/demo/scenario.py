"""What the demo asks: the sentence, the tasks, and the texts of the traffic."""

from adaptermux_client import AnalyzeTask, ClassifyTask, TagTask

SENTENCE = [
    "The",
    "new",
    "phone",
    "has",
    "a",
    "wonderful",
    "screen",
    ",",
    "but",
    "I",
    "hated",
    "the",
    "tiny",
    "battery",
    ".",
]

TASKS: dict[str, AnalyzeTask] = {
    "sentiment": ClassifyTask("sentiment"),
    "language": ClassifyTask("language", top_k=3),
    "spam": ClassifyTask("spam"),
    "pos": TagTask("pos"),
    "chunk": TagTask("chunk", spans=True),
    "parse": TagTask("parse", top_k=12),
}

QUESTION = "What is the subject of bought?"
CONTEXT = "After months of rumours, the old company finally bought three small factories near the coast."

ALIAS = "tone"
ALIASED = "sentiment"

LATE_ADAPTER = "intensity"
"""Loaded while the traffic runs."""
LEAVING_ADAPTER = "spam"
"""Unloaded while the traffic runs."""

TRAFFIC_ADAPTERS = ("sentiment", "pos", "language", "parse", "chunk", "spam", "intensity")
"""By popularity, most asked first: the n-th gets a share proportional to 1/n."""

TEXTS = (
    "What a delightful little film, I laughed all the way through.",
    "The plot makes no sense and the acting is worse.",
    "Please find attached the minutes of our last meeting.",
    "You have won a prize! Click here now to claim your free money.",
    "Jeder Mensch hat das Recht auf Leben, Freiheit und Sicherheit der Person.",
    "Toute personne a droit à la liberté de pensée et de conscience.",
    "The committee will publish its report on the new railway in spring.",
    "Battery life is fine, but the keyboard feels cheap.",
)
