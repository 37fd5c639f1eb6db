"""A page with a picture of each program."""

from __future__ import annotations

import html

from npuc.tools.profiling.picture import as_svg
from npuc.tools.profiling.profile import Profile


def as_html(profile: Profile, name: str) -> str:
    """The page, in one file."""
    body = "".join(
        f"<h2>@{html.escape(program)}: {one.cycles} cycles</h2>{as_svg(one, profile)}"
        for program, one in profile.timelines.items()
    )
    return (
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(name)}</title><h1>{html.escape(name)}</h1>"
        f"<p>{profile.machine.name}, {profile.cycles} cycles, {profile.sram} bytes of SRAM.</p>{body}"
    )
