"""Episodes as files of the annotation tools of behavioural research: ELAN (.eaf) and BORIS (.boris)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from tfen.files import whole_file
from tfen.inference.episodes import Episode

NO_DATE = "2000-01-01T00:00:00"
"""Both formats want a date; the same results give the same bytes."""


def write_elan(path: Path, media: str, episodes: Sequence[Episode], here: bool = True) -> None:
    """Write an ELAN document (EAF 3.0): a tier for each face, an annotation for each episode.

    Args:
        path: the .eaf file.
        media: the film, as a path or an address.
        episodes: of this film.
        here: whether the film lies there; if not, ELAN looks for its name beside the document.
    """
    schema = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
    root = Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "tfen",
            "DATE": f"{NO_DATE}+00:00",
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": schema,
        },
    )
    header = SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    address = "" if not here else media if "://" in media else Path(media).resolve().as_uri()
    kind = "video/mp4" if media.lower().endswith(".mp4") else "video/*"
    SubElement(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=address, MIME_TYPE=kind, RELATIVE_MEDIA_URL=f"./{Path(media).name}"
    )
    times = sorted({round(1000 * time) for one in episodes for time in (one.onset, one.offset)})
    order = SubElement(root, "TIME_ORDER")
    slots = {time: f"ts{k + 1}" for k, time in enumerate(times)}
    for time, name in slots.items():
        SubElement(order, "TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=str(time))
    number = 0
    for face in sorted({one.face for one in episodes}):
        tier = SubElement(root, "TIER", LINGUISTIC_TYPE_REF="expression", TIER_ID=f"face {face}")
        for one in episodes:
            if one.face != face:
                continue
            number += 1
            start, end = (slots[round(1000 * time)] for time in (one.onset, one.offset))
            holder = SubElement(tier, "ANNOTATION")
            inner = SubElement(
                holder, "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{number}", TIME_SLOT_REF1=start, TIME_SLOT_REF2=end
            )
            SubElement(inner, "ANNOTATION_VALUE").text = one.expression
    SubElement(
        root,
        "LINGUISTIC_TYPE",
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID="expression",
        TIME_ALIGNABLE="true",
    )
    indent(root)
    with whole_file(path) as part:
        ElementTree(root).write(part, encoding="UTF-8", xml_declaration=True)


@dataclass(frozen=True)
class Observation:
    """A source as BORIS observes it: its own `name`, the `media` (a path; empty for a camera or stream), its episodes."""

    name: str
    media: str
    seconds: float
    rate: float
    has_sound: bool
    episodes: Sequence[Episode]


def write_boris(path: Path, expressions: Sequence[str], observations: Sequence[Observation]) -> None:
    """Write a BORIS project: an observation for each film, faces as subjects, expressions as state events.

    Args:
        path: the .boris file.
        expressions: of the weights; neutral is no behaviour.
    """
    codes = [name for name in expressions if name != "neutral"]
    behaviours = {
        str(k): {
            "type": "State event", "key": name[0], "code": name, "description": "", "category": "", "modifiers": "",
            "excluded": "", "coding map": "",
        }
        for k, name in enumerate(codes)
    }  # fmt: skip
    faces = sorted({one.face for own in observations for one in own.episodes})
    subjects = {str(k): {"key": "", "name": f"face {face}", "description": ""} for k, face in enumerate(faces)}
    project = {
        "time_format": "seconds",
        "project_date": NO_DATE,
        "project_name": "tfen",
        "project_description": "",
        "project_format_version": "7.0",
        "subjects_conf": subjects,
        "behaviors_conf": behaviours,
        "behavioral_categories": [],
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
        "observations": {own.name: _observation(own) for own in observations},
    }
    with whole_file(path) as part:
        part.write_text(json.dumps(project, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _observation(own: Observation) -> dict[str, Any]:
    """Return an observation. BORIS wants absolute paths, and length and frames a second of every film."""
    events = [
        [round(time, 3), f"face {one.face}", one.expression, "", ""]
        for one in own.episodes
        for time in (one.onset, one.offset)
    ]
    media = str(Path(own.media).resolve()) if own.media else ""
    info: dict[str, Any] = {"length": {}, "fps": {}, "hasVideo": {}, "hasAudio": {}, "offset": {"1": 0.0}}
    if media:
        info |= {
            "length": {media: own.seconds}, "fps": {media: own.rate}, "hasVideo": {media: True},
            "hasAudio": {media: own.has_sound},
        }  # fmt: skip
    return {
        "file": {str(k): [media] if media and k == 1 else [] for k in range(1, 9)} if media else {},
        "type": "MEDIA" if media else "LIVE",
        "date": NO_DATE,
        "description": "measured by tfen",
        "time offset": 0.0,
        "events": sorted(events, key=lambda event: (event[0], event[1])),
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "close_behaviors_between_videos": False,
        "media_info": info,
    }
