"""Pooled hidden states to embeddings."""

import numpy as np

from adaptermux_server.tasks.options import EmbedOptions
from adaptermux_server.tasks.results import Embedding
from adaptermux_server.tasks.scores import as_floats
from adaptermux_server.tasks.tokenizing import Encoded
from adaptermux_server.types import Values


def embedding(encoded: Encoded, values: Values, options: EmbedOptions) -> Embedding:
    """Make the embedding of one input. Shapes: values [hidden]. A zero vector stays zero when normalised."""
    length = float(np.linalg.norm(values)) if options.normalize else 1.0
    return Embedding(as_floats(values / (length or 1.0)), encoded.num_tokens, encoded.truncated)
