"""Where a report comes from: what it takes to repeat it, and how its places are written down."""

import functools
import html
import json
import platform
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from dfdlib import machine
from dfdlib.experiment import profile

#: The packages that the figures of a report depend on, named in its provenance.
PACKAGES = (
    "torch fairseq-fixed lightning numpy scipy scikit-learn pandas soundfile soxr av matplotlib seaborn papermill "
    "jupyterlab"
).split()

#: A path of two names or more, not one that follows a drive, a scheme, a dot or another name.
_PATH = r"(?<![\w:/.~…-])(?:/[\w.+@%,=-]+)+/(?P<name>[\w.+@%,=-]*)"


def collect(
    settings: profile.Profile, *, inputs: dict[str, str], overrides: Sequence[str], profile_name: str | None = None
) -> dict:
    """Return what is needed to repeat a run: command, settings, commit, versions, machine, fingerprints.

    The command has the overrides as they were given, quoted for a shell; ``settings`` are what they came to, and
    ``changed`` those of them that an override named.
    """
    command = ["./run_all.sh", "--profile", profile_name or settings.name]
    command += [part for text in overrides for part in ("--set", text)]
    used = profile.as_used(settings)
    changed = {}
    for key in (text.partition("=")[0].strip() for text in overrides):
        value = functools.reduce(lambda part, name: part[name], key.split("."), used)
        changed[key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {
        "command": shlex.join(command),
        "changed": changed,
        "settings": used,
        "differing": profile.as_used(settings, changed=True),
        "card": _card(settings.checkpoint),
        "seed": settings.seed,
        "device": profile.device(settings),
        "commit": _commit(),
        "inputs": inputs,
        "python": platform.python_version(),
        "packages": {name: machine.version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {machine.processor()}, {machine.cores()} cores",
    }


def _card(checkpoint: Path) -> str:
    """Return what the card beside some weights says of them: its first sentence; "" where there is none."""
    try:
        text = checkpoint.with_suffix(".md").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    return re.split(r"(?<=[.])\s", first.replace("`", "").strip())[0]


def hider(*folders: object) -> Callable[[str], str]:
    """Return a function that takes the places of this machine out of a text.

    Paths below the project's folder become relative to it, below the user's home they begin with "~". Of other paths
    the name is left: below one of the ``folders`` as "…/folder/rest", elsewhere as "…/name".
    """
    places = {profile.root(): "", Path.home(): "~"}
    places |= {folder.absolute(): f"…/{folder.name}" for folder in folders if isinstance(folder, Path)}
    written: dict[str, str] = {}
    for place, short in places.items():
        if place.is_relative_to(profile.root()):
            short = str(place.relative_to(profile.root()))
        for one in (place, place.resolve()):
            if one != Path(one.anchor):
                # as it is, and as Python and JSON quote it
                written |= dict.fromkeys((str(one), repr(str(one))[1:-1], json.dumps(str(one))[1:-1]), short)
    known = "|".join(re.escape(place) for place in sorted(written, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.~…-])(?:file://)?(?P<known>{known})(?![\w-])(?P<slash>[/\\]?)|{_PATH}")

    def short(match: re.Match) -> str:
        if match["known"] is None:
            return f"…/{match['name'] or match[0].rstrip('/').rpartition('/')[2]}"
        place = written[match["known"]]
        return place + match["slash"] if place not in ("", ".") else "" if match["slash"] else "."

    return functools.partial(pattern.sub, short)


def hide_in(page: str, hide: Callable[[str], str]) -> str:
    """Return HTML in which a function of `hider` was used on all that is read or read aloud."""

    def text(match: re.Match) -> str:
        if match["text"] is None:
            return re.sub(r'( (?:alt|title|aria-label)=")([^"]+)', lambda found: found[1] + hidden(found[2]), match[0])
        return hidden(match["text"])

    def hidden(escaped: str) -> str:
        plain = html.unescape(escaped)
        found = hide(plain)
        return escaped if found == plain else html.escape(found)

    return re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>|(?P<text>[^<]+)", text, page, flags=re.DOTALL)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=profile.root(), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (" with changes not committed" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git checkout)"
