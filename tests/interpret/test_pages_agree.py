"""The pages come to the same interpretation as Python, and find the same labels missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import timesync_xr
from tests.interpret.making import random_acts, whole
from timesync_xr.interpret.answers import Act, interpret

pytestmark = pytest.mark.services

PROGRAM = """
global.timesync = {};
require(process.argv[1]);
let text = "";
process.stdin.on("data", (part) => { text += part; });
process.stdin.on("end", () => process.stdout.write(JSON.stringify(JSON.parse(text).map((acts) => {
  const made = timesync.answers.interpret(acts);
  return [made.days().map((day) => [day, made.vertices.get(day)]), made.texts, made.choices,
    timesync.answers.missing(made), timesync.answers.isComplete(made)];
}))));
"""


def of_pages(many: list[list[Act]]) -> object:
    node = shutil.which("node") or shutil.which("nodejs")
    if not node:
        pytest.skip("no JavaScript here: apt-get install nodejs")
    script = Path(timesync_xr.__file__).parent / "view/site/static/answers.js"
    done = subprocess.run(
        [node, "-e", PROGRAM, str(script)],
        input=json.dumps(many), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def of_python(many: list[list[Act]]) -> object:
    made = [interpret(acts, "1001", "2", "ann") for acts in many]
    return json.loads(
        json.dumps(
            [
                [[[d, one.vertices[d]] for d in one.days], one.texts, one.choices,
                 one.missing, one.is_complete]
                for one in made
            ]
        )
    )  # fmt: skip


@settings(max_examples=15)
@given(st.lists(random_acts(), min_size=20, max_size=40))
def test_pages_and_python_agree(many: list[list[Act]]) -> None:
    assert of_pages(many) == of_python(many)


def test_they_agree_on_a_whole_one() -> None:
    assert of_pages([whole()]) == of_python([whole()])
    assert of_python([whole()])[0][4] is True  # type: ignore[index]
