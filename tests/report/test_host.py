from edgekit.report.host import tabulate_host
from edgekit.types.interval import Interval
from edgekit.types.target import HostCandidate, HostChoice, HostTrial


def test_every_candidate_has_a_row_that_says_what_became_of_it():
    session = {"session.x64quantprecision": "1"}
    trials = (
        HostTrial(HostCandidate("a", "uint8", "int8", "pair-safe"), 23.4, 1.0, Interval(0.65, 0.6, 0.7), accurate=True),
        HostTrial(HostCandidate("b", "uint8", "int8", "full", session), 23.8, 1.0, Interval(0.9, 0.8, 1.0), True),
        HostTrial(HostCandidate("c", "uint8", "int8", "full"), 8.9, 0.88, Interval(0.66, 0.6, 0.7)),
        HostTrial(HostCandidate("d", "int8", "int8", "full"), error="no kernel"),
    )
    assert tabulate_host(HostChoice("a", "", trials, 32, 1.0)).rows == (
        ("a", "23.4 dB", "100.0 %", "0.65", "chosen"),
        ("b (session.x64quantprecision=1)", "23.8 dB", "100.0 %", "0.90", "as accurate, slower"),
        ("c", "8.9 dB", "88.0 %", "0.66", "less accurate"),
        ("d", "-", "-", "-", "does not run: no kernel"),
    )
    tie = (trials[0], HostTrial(trials[1].candidate, 23.4, 1.0, Interval(0.64, 0.6, 0.7), accurate=True))
    assert tabulate_host(HostChoice("a", "", tie, 32, 1.0)).rows[1][-1] == "as accurate, no slower"
