"""python -m kits_tf.evaluate: scores on the original grid, of a run or of masks from any program."""

from dataclasses import dataclass, replace

from kits_tf.base.command import Command
from kits_tf.base.progress import track
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import EvaluationSettings


@dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluationSettings):
    """Scores a run on the original grid, or masks from any program; or compares two evaluations."""


def main(settings: Evaluate) -> None:
    """Scores every case, writes cases.csv, lesions.csv and summary.json, and prints them; or compares two such.

    With --postprocess=auto, what helps the run is chosen first.

    Raises:
        InputError: run, predictions or data cannot be used, or there is nothing to score.
    """
    start_tensorflow()
    from kits_tf.analysis import evaluation, results
    from kits_tf.analysis.chain_choice import choose_chain
    from kits_tf.views.terminal.scores_table import chains_table, differences_table, scores_table

    if settings.compare:
        print(differences_table(results.compare(*settings.compare.split(","))))
        return
    if settings.inference.postprocess == "auto":
        chosen, tried = choose_chain(settings)
        print(chains_table(chosen, tried))
        settings = replace(settings, inference=replace(settings.inference, postprocess=""))
    plan = evaluation.of_run(settings) if settings.run_dir else evaluation.of_predictions(settings)
    scores = list(track(plan.scores(), "case", plan.num_cases))
    summary = results.write(scores, plan.output_dir, plan.inference)
    print(scores_table(scores, summary))
    print(f"wrote {plan.output_dir}")


COMMAND = Command(name="evaluate", settings=Evaluate, main=main)

if __name__ == "__main__":
    COMMAND.run()
