"""Untrusted text in comments as a real Gitea renders it: no mention, no link, no markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
import requests

from sandbox.forge.gitea import Gitea
from tests.adversarial.fuzz.test_bridge import rendered
from tests.integration.forge.bridge_env import MEMBER

pytestmark = pytest.mark.forge
VOID = frozenset({"br", "hr", "img", "input"})
ATTACKS = [
    f"@{MEMBER}",
    f"x|@{MEMBER}",
    f"x\\|@{MEMBER}",
    f"x\\\\|@{MEMBER}|y",
    f"`@{MEMBER}",
    f"``` @{MEMBER}",
    f"x\n```\n@{MEMBER}\n```",
    f"~~~\n@{MEMBER}",
    f"</code></summary></details>@{MEMBER}",
    f"--> @{MEMBER}",
    f"`\u200b@{MEMBER}`",
    f"\x1b[31m@{MEMBER}\x1b[0m",
    "![x](http://evil.example/pixel.png)",
    "[text](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "http://evil.example and www.evil.example",
    "#1 and org/shop#1 and a@evil.example",
    "# heading\n---\n- [ ] task",
    "$\\href{http://evil.example}{x}$",
    "&lt;b&gt; &#64;alice",
    "::cc-ci:: {}",
]


class Seen(HTMLParser):
    """Links and images of a page, and its text outside code."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.plain = ""
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag and where it leads."""
        self.tags.append(tag)
        found = dict(attrs)
        self.links += [value for key in ("href", "src") if (value := found.get(key))]
        self._code += tag in ("code", "pre")
        assert not [key for key in found if key.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        """Record the end of code."""
        self._code -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        """Record text outside code."""
        self.plain += "" if self._code else data


def shown(forge: Gitea, text: str) -> Seen:
    """Return what the forge renders from a comment."""
    response = requests.post(
        f"{forge.url}/api/v1/markdown",
        json={"Text": text, "Mode": "comment", "Context": "ci/cc-ci"},
        headers={"Authorization": f"token {forge.token(MEMBER)}"},
        timeout=30,
    )
    response.raise_for_status()
    seen = Seen()
    seen.feed(response.text)
    return seen


def hostile(attack: str) -> dict[str, object]:
    """Return a report with an attack in every untrusted text."""
    case = {"id": attack, "stage": attack, "life": attack, "outcome": "fail", "message": attack}
    return {
        "run": "17",
        "recipe": attack,
        "ref": "a" * 40,
        "lane": "cold",
        "verdict": "recipe",
        "commit_state": "failure",
        "reason": attack,
        "stage": attack,
        "level": 0,
        "level_words": attack,
        "version": attack,
        "base_version": attack,
        "stages": [{"name": "lint", "outcome": "fail", "reason": f"{attack} seen"}],
        "failed": [{**case, "lines": [attack, f"    {attack}", f"> {attack}"]}],
        "failed_in_all": 2,
        "notes": [attack],
        "evidence": [attack],
        "repeat": attack,
    }


def test_forge_mentions_and_links_plain_text(forge: Gitea) -> None:
    """So the test below can fail."""
    seen = shown(forge, f"hello @{MEMBER}, see http://evil.example")
    assert any(link.endswith(f"/{MEMBER}") for link in seen.links)
    assert "http://evil.example" in seen.links


@pytest.mark.parametrize("attack", ATTACKS)
def test_untrusted_text_has_no_effect(forge: Gitea, attack: str) -> None:
    """No mention, no link but ours, no picture, no heading, no split table."""
    seen = shown(forge, rendered(json.loads(json.dumps(hostile(attack))), "bob"))
    ours = ("http://drone.ours/", "http://runs.ours/")
    assert [link for link in seen.links if not link.startswith(ours)] == []
    assert "@" not in seen.plain and "evil" not in seen.plain
    assert {"script", "img", "iframe", "h1", "h2", "input"}.isdisjoint(seen.tags)
    assert seen.tags.count("h3") == 1
    assert seen.tags.count("td") == 4  # one stage, four columns
