"""One dataclass a command, built of groups."""

from kits_tf.config.commands.data import Audit, Convert, Phantom, Restore, Summary
from kits_tf.config.commands.model import Evaluate, Measure, Predict, Submission, Train
from kits_tf.config.commands.serving import App, Client, Export, Serve
from kits_tf.config.commands.views import Demo, Figures, Report
from kits_tf.settings import Settings

COMMANDS: tuple[type[Settings], ...] = (
    Phantom,
    Audit,
    Convert,
    Restore,
    Summary,
    Train,
    Evaluate,
    Predict,
    Measure,
    Submission,
    Export,
    Serve,
    Client,
    App,
    Figures,
    Report,
    Demo,
)
