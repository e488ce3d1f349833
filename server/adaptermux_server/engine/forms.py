"""What PEFT's layers compute, said as plain data: the forms that the bank can hold, module by module."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LowRank:
    """y = W x + b + scale · (B A x + bias), and with a magnitude (DoRA) y = o ⊙ (W x + scale · B A x) + b.

    o = magnitude / ‖W + scale · B A‖, row by row. A [rank, in], B [out, rank]; of an embedding, x is one-hot.
    Sources: LoRA, arXiv 2106.09685; rsLoRA (its scale), arXiv 2312.03732; DoRA, arXiv 2402.09353.
    """

    rank: int
    scale: float
    has_magnitude: bool = False
    has_bias: bool = False
    is_embedding: bool = False


@dataclass(frozen=True, slots=True)
class Scaled:
    """y = W (l ⊙ x) + b at the input (feed-forward), else y = l ⊙ (W x + b). Source: IA3, arXiv 2205.05638."""

    at_input: bool


Form = LowRank | Scaled
