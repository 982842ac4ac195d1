"""Multiple choice asked aloud, options and all, answered by a generated letter."""

from __future__ import annotations

from lamofc.tasks import letter_answer


class Task(letter_answer.Task):
    """truth and output as in `letter_answer`."""

    modality = "audio"
