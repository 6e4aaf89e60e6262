"""The table of a run's errors, with published ones."""

from typing import Any

from experiments.results import Table

# Word and phone error rates without stress, each on its own split.
PUBLISHED = (
    ("transformer 2x256, g2p-seq2seq's README, newest dictionary", "31 %", "–"),
    ("Phonetisaurus, g2p-seq2seq's README, newest dictionary", "33.9 %", "–"),
    ("transformer 2x256, the same README, dictionary of 2007", "20.2 %", "–"),
    ("LSTMs with attention, an ensemble, Toshniwal & Livescu 2016", "20.2 %", "4.7 %"),
)


def errors_table(results: dict[str, Any]) -> Table:
    """Returns error rates on the test words, with published ones."""
    wrong, config = results["test"], results["config"]
    ours = f"this run: attention {config['attention']}, {results['weights']:,} weights"
    percent = lambda share: f"{100 * share:.2f} %"
    error = percent(results["standard_error"])
    rows = [
        (ours, f"{percent(wrong['words'])} ± {error}", percent(wrong["phones"])),
        (
            "  with stress",
            percent(wrong["words_with_stress"]),
            percent(wrong["phones_with_stress"]),
        ),
        *PUBLISHED,
    ]
    split = {"stem": "no stem of which is in the training words", "word": "drawn at random"}
    title = (
        f"{results['test_words']:,} test words, {split[config['split']]}; stress not counted,"
        " any of a word's pronunciations is right"
    )
    return Table(title, ("", "words wrong", "phones wrong"), rows)
