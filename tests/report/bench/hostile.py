"""The example with names and messages that try to become markup, script or a template."""

from __future__ import annotations

from dataclasses import replace

from edgekit.types.bench import BenchReport

TEXT = "</script><img src=x onerror=\"window.hacked='{}'\"><!-- ' \" ${{x}} $title \u2028 ]]>"


def make_hostile(report: BenchReport) -> BenchReport:
    """Every text that a user, a model or a device can choose."""
    artifacts = {found.name: f"{number} {TEXT.format('artifact')}" for number, found in enumerate(report.artifacts)}
    devices = {found.name: f"{number} {TEXT.format('device')}" for number, found in enumerate(report.devices)}

    def environment(state):
        if state is None:
            return None
        said = TEXT.format("environment")
        return replace(
            state,
            cpu=said,
            isa=(said,),
            system=said,
            governor=said,
            throttling=(said,),
            temperatures_c={said: 50.0},
            runtimes={said: said},
        )

    def renamed(entry):
        return replace(entry, artifact=artifacts[entry.artifact], device=devices[entry.device])

    return replace(
        report,
        version=TEXT.format("version"),
        command=TEXT.format("command"),
        started=TEXT.format("started"),
        artifacts=tuple(
            replace(
                found,
                name=artifacts[found.name],
                file=TEXT.format("file"),
                digest=TEXT.format("digest"),
                runtime=f"{found.runtime} {TEXT.format('runtime')}",
                quality_name=TEXT.format("quality"),
                quality_source=TEXT.format("source"),
            )
            for found in report.artifacts
        ),
        devices=tuple(
            replace(
                found,
                uri=TEXT.format("uri"),
                name=devices[found.name],
                before=environment(found.before),
                after=environment(found.after),
                error=found.error and TEXT.format("error"),
                hint=TEXT.format("hint"),
                left_behind=(TEXT.format("path"),),
            )
            for found in report.devices
        ),
        measurements=tuple(
            replace(
                renamed(found),
                provider=TEXT.format("provider"),
                invalid=tuple(TEXT.format("reason") for _ in found.invalid),
                operators=tuple(
                    replace(
                        cost,
                        module=cost.module and f"{cost.module} {TEXT.format('module')}",
                        operator=TEXT.format("operator"),
                    )
                    for cost in found.operators
                ),
            )
            for found in report.measurements
        ),
        outputs=tuple(
            replace(
                renamed(found),
                reference=devices[found.reference],
                digest=TEXT.format("output"),
                error=found.error and TEXT.format("failure"),
            )
            for found in report.outputs
        ),
        findings=tuple(
            replace(found, code=TEXT.format("code"), message=TEXT.format("message"), hint=TEXT.format("advice"))
            for found in report.findings
        ),
        history=tuple(
            replace(
                renamed(found),
                at=f"{found.at} {TEXT.format('at')}",
                revision=f"{found.revision} {TEXT.format('revision')}",
                configuration=TEXT.format("configuration"),
            )
            for found in report.history
        ),
    )
