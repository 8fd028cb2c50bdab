import io

from rich.console import Console

from edgekit.report.markdown import render_markdown
from edgekit.report.terminal import show_report
from edgekit.report.training_tables import describe_training, tabulate_training
from edgekit.types.training_summary import TrainingSummary


def test_a_row_says_what_a_step_did_to_cost_and_accuracy(training):
    table = tabulate_training(training)
    assert table.rows[0][:6] == ("as given", "-", "40.8 M", "1.00x", "272 k", "85.8 %")
    assert table.rows[1] == (
        "pruned",
        "2x, group-norm",
        "20.4 M",
        "2.00x",
        "140 k",
        "60.3 %",
        "0.91",
        "12.5 s (earlier run)",
    )
    assert table.rows[2][-1] == "11 min 40 s"


def test_without_labels_nothing_is_claimed(training):
    bare = TrainingSummary("", 0, ())
    assert describe_training(bare).startswith("No training data. No labelled data")
    assert "5000 labelled samples" in describe_training(training)


def test_markdown_and_terminal_show_it(report, report_with, training):
    trained = report_with(training=training)
    assert "## Training" in render_markdown(trained)
    assert "| distilled | 100 epochs from self | 20.4 M | 2.00x |" in render_markdown(trained)
    assert "## Training" not in render_markdown(report)
    console = Console(file=io.StringIO(), width=200)
    show_report(trained, console)
    assert "distilled (100 epochs from self): 20.4 M MACs (2.00x), 140 k parameters, top-1 84.6 %" in (
        console.file.getvalue()
    )
