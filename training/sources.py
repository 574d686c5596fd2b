"""Where the pictures come from: packages of openly licensed icons and emoji, with versions, licences and credits.

`python -m training.sources` fetches them into the work folder with `npm pack` and `apt-get download`. Noto's emoji,
Symbola and Tux Paint's stamps are left out on purpose: they are how others judge the model.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

WORK = Path(tempfile.gettempdir()) / "clipsim-mini"
OPENCLIPART = "openclipart-svg"
OPENCLIPART_VERSION = "1:0.18+dfsg-19"
# labels, tags and aliases, no pictures: versions and licences
WORDS = {
    "emojibase-data": ("17.0.0", "MIT"),
    "@mdi/svg": ("7.4.47", "Apache-2.0"),
    "@tabler/icons": ("3.52.0", "MIT"),
    "@phosphor-icons/core": ("2.1.1", "MIT"),
}


@dataclass(frozen=True)
class Source:
    """One collection of pictures.

    Attributes
    ----------
    name : of the package, after `@iconify-json/`
    version, licence, credit : what is fetched, under which terms, and by whom it was drawn
    kind : "emoji" (in colour), "ink emoji", "colour" or "ink" (icons); "flags" are named by their countries' codes
    family : the hand that drew it; collections of one hand have one family
    kept : whether the family is kept for choosing, and never learned from
    """

    name: str
    version: str
    licence: str
    credit: str
    kind: str
    family: str
    kept: bool = False


def _source(row: str) -> Source:
    """Read one row of the table below."""
    name, version, licence, kind, family, credit = (cell.strip() for cell in row.split("|"))
    return Source(name, version, licence, credit, kind, family.rstrip("*"), family.endswith("*"))


# a star marks the families that are kept for choosing
SOURCES = tuple(
    _source(row)
    for row in """
bi | 1.2.7 | MIT | ink | bootstrap | The Bootstrap Authors
boxicons | 1.2.0 | MIT | ink | boxicons | Boxicons
carbon | 1.2.29 | Apache-2.0 | ink | carbon | IBM
cif | 1.2.7 | CC0-1.0 | flags | cif | creativeLabs Łukasz Holeczek
cil | 1.2.3 | CC-BY-4.0 | ink | coreui | creativeLabs Łukasz Holeczek
circle-flags | 1.2.11 | MIT | flags | circle-flags | HatScripts
covid | 1.2.3 | CC-BY-4.0 | ink | covid | Streamline
dinkie-icons | 1.2.0 | MIT | ink emoji | dinkie-icons | atelierAnchor
emojione | 1.2.3 | CC-BY-4.0 | emoji | emojione | Emoji One
emojione-monotone | 1.2.1 | CC-BY-4.0 | ink emoji | emojione | Emoji One
f7 | 1.2.2 | MIT | ink | framework7 | Vladimir Kharlampidi
fa7-solid | 1.2.5 | CC-BY-4.0 | ink | font-awesome | Dave Gandy
flag | 1.2.12 | MIT | flags | flag | Panayiotis Lipiridis
flagpack | 1.2.8 | MIT | flags | flagpack | Yummygum
flat-color-icons | 1.2.3 | MIT | colour | flat-color-icons* | Icons8
flat-ui | 1.2.3 | MIT | colour | flat-ui | Designmodo, Inc.
fluent | 1.2.60 | MIT | ink | fluent | Microsoft Corporation
fluent-color | 1.2.21 | MIT | colour | fluent-color | Microsoft Corporation
fluent-emoji | 1.2.7 | MIT | emoji | fluent emoji | Microsoft Corporation
fluent-emoji-flat | 1.2.6 | MIT | emoji | fluent emoji | Microsoft Corporation
fluent-emoji-high-contrast | 1.2.6 | MIT | ink emoji | fluent emoji | Microsoft Corporation
fluent-mdl2 | 1.2.1 | MIT | ink | fluent-mdl2 | Microsoft Corporation
fontisto | 1.2.1 | MIT | ink | fontisto | Kenan Gündoğan
fxemoji | 1.2.2 | Apache-2.0 | emoji | fxemoji* | Mozilla
game-icons | 1.2.4 | CC-BY-3.0 | ink | game-icons | GameIcons
garden | 1.2.6 | Apache-2.0 | ink | garden | Zendesk
gis | 1.2.5 | CC-BY-4.0 | ink | gis | Jean-Marc Viglino
guidance | 1.2.2 | CC-BY-4.0 | ink | guidance | Streamline
healthicons | 1.2.13 | MIT | ink | healthicons | Resolve to Save Lives
hugeicons | 1.2.35 | MIT | ink | hugeicons | Hugeicons
icon-park | 1.2.4 | Apache-2.0 | colour | icon-park | ByteDance
icon-park-outline | 1.2.4 | Apache-2.0 | ink | icon-park | ByteDance
icon-park-solid | 1.2.4 | Apache-2.0 | ink | icon-park | ByteDance
iconoir | 1.2.11 | MIT | ink | iconoir | Luca Burgio
icons8 | 1.2.1 | MIT | ink | icons8 lines | Icons8
ion | 1.2.7 | MIT | ink | ion | Ben Sperry
la | 1.2.1 | Apache-2.0 | ink | icons8 lines | Icons8
lucide | 1.2.137 | ISC | ink | lucide | Lucide Contributors
lucide-lab | 1.2.3 | ISC | ink | lucide | Lucide Contributors
maki | 1.2.5 | CC0-1.0 | ink | maki | Mapbox
marketeq | 1.2.2 | MIT | colour | marketeq | Marketeq
material-symbols | 1.2.98 | Apache-2.0 | ink | material-symbols | Google
mdi | 1.2.3 | Apache-2.0 | ink | mdi | Pictogrammers
medical-icon | 1.2.0 | MIT | ink | medical-icon | Samuel Frémondière
memory | 1.2.2 | Apache-2.0 | ink | memory | Pictogrammers
meteocons | 1.2.4 | MIT | colour | meteocons | Bas Milius
mingcute | 1.2.8 | Apache-2.0 | ink | mingcute | MingCute Design
ph | 1.2.2 | MIT | ink | phosphor* | Phosphor Icons
pinhead | 1.2.28 | CC0-1.0 | ink | pinhead | Quincy Morgan
ri | 1.2.10 | Apache-2.0 | ink | remix | Remix Design
solar | 1.2.13 | CC-BY-4.0 | ink | solar | 480 Design
streamline | 1.2.5 | CC-BY-4.0 | ink | streamline | Streamline
streamline-color | 1.2.2 | CC-BY-4.0 | colour | streamline | Streamline
streamline-cyber | 1.2.2 | CC-BY-4.0 | ink | streamline | Streamline
streamline-cyber-color | 1.2.2 | CC-BY-4.0 | colour | streamline | Streamline
streamline-emojis | 1.2.4 | CC-BY-4.0 | emoji | streamline emojis | Streamline
streamline-flex-color | 1.2.2 | CC-BY-4.0 | colour | streamline | Streamline
streamline-freehand | 1.2.1 | CC-BY-4.0 | ink | streamline freehand | Streamline
streamline-freehand-color | 1.2.2 | CC-BY-4.0 | colour | streamline freehand | Streamline
streamline-kameleon-color | 1.2.2 | CC-BY-4.0 | colour | streamline | Streamline
streamline-pixel | 1.2.0 | CC-BY-4.0 | ink | streamline pixel | Streamline
streamline-plump | 1.2.0 | CC-BY-4.0 | ink | streamline | Streamline
streamline-plump-color | 1.2.2 | CC-BY-4.0 | colour | streamline | Streamline
streamline-stickies-color | 1.2.2 | CC-BY-4.0 | colour | streamline | Streamline
streamline-ultimate | 1.2.2 | CC-BY-4.0 | ink | streamline | Streamline
streamline-ultimate-color | 1.2.2 | CC-BY-4.0 | colour | streamline | Streamline
tabler | 1.2.41 | MIT | ink | tabler | Paweł Kuna
tdesign | 1.2.19 | MIT | ink | tdesign | TDesign
temaki | 1.2.6 | CC0-1.0 | ink | temaki | Bryan Housel
twemoji | 1.2.5 | CC-BY-4.0 | emoji | twemoji | Twitter
uil | 1.2.3 | Apache-2.0 | ink | unicons | Iconscout
vaadin | 1.2.1 | Apache-2.0 | ink | vaadin | Vaadin
""".strip().splitlines()
)


def fetch_package(package: str, version: str, folder: Path) -> Path:
    """Return the unpacked npm package, fetched where it is not there yet."""
    target = folder / f"{package.replace('/', '-').lstrip('@')}-{version}"
    if target.exists():
        return target
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    command = ["npm", "pack", "--silent", "--pack-destination", str(unfinished), f"{package}@{version}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (archive,) = unfinished.glob("*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(unfinished, filter="data")
    (unfinished / "package").rename(target)
    shutil.rmtree(unfinished)
    return target


def fetch_openclipart(folder: Path) -> Path:
    """Return the folder of Debian's openclipart-svg, fetched where it is not there yet."""
    target = folder / OPENCLIPART
    if target.exists():
        return target
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    subprocess.run(
        ["apt-get", "download", "-q", f"{OPENCLIPART}={OPENCLIPART_VERSION}"],
        cwd=unfinished,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (archive,) = unfinished.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", str(archive), str(unfinished / "files")], check=True)
    (unfinished / "files" / "usr" / "share" / "openclipart" / "svg").rename(target)
    shutil.rmtree(unfinished)
    return target


def fetch_all(folder: Path) -> None:
    """Fetch every package that is missing in a folder."""
    for source in SOURCES:
        fetch_package(f"@iconify-json/{source.name}", source.version, folder)
        print(source.name, source.version, flush=True)
    for package, (version, _) in WORDS.items():
        fetch_package(package, version, folder)
    fetch_openclipart(folder)


def main() -> None:
    """Read the options and fetch."""
    parser = argparse.ArgumentParser(prog="python -m training.sources", description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK)
    fetch_all(parser.parse_args().work / "sources")


if __name__ == "__main__":
    main()
