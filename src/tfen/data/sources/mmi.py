"""MMI (Pantic et al. 2005): sessions with films and XML beside them.

`Sessions/<n>/S001-002.avi`, the same stem with `.xml` (`Metatag Name="Emotion" Value="k"`), `session.xml` (`track@view`).
Films are kept whole, from onset over apex to offset, as in the paper. Some show two views side by side, many lie on
their side; which part shows an upright frontal face is found when the faces are looked for.
"""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from tfen.data.sources.recordings import DatasetReader, Findings, Published, Recording, children, folders
from tfen.errors import InputError
from tfen.video.media import VIDEOS

EMOTIONS = {1: "anger", 2: "disgust", 3: "fear", 4: "happiness", 5: "sadness", 6: "surprise"}
PUBLISHED = Published(208, 31)
PROFILE = ("1", "profile", "side")
DUAL = ("2", "dual", "both")


def find(source: Path) -> Findings:
    """Read MMI's sessions; those without one of the six emotions are counted as unlabelled.

    Raises:
        InputError: there are no sessions.
    """
    root = next((path for path in folders(source) if path.name.lower() == "sessions"), source)
    sessions = folders(root)
    if not sessions:
        raise InputError(f"{source} is not MMI: expected Sessions/<number>/ with a film and its XML, as handed out")
    findings = Findings()
    for session in sessions:
        name = f"session-{session.name}"
        try:
            recording = _session(session)
        except InputError as error:
            findings.left_out[name] = str(error)
            continue
        if recording is None:
            findings.unlabelled += 1
        else:
            findings.recordings.append(recording)
    return findings


def _session(session: Path) -> Recording | None:
    files = children(session)
    film = next((path for path in files if path.suffix.lower() in VIDEOS), None)
    if film is None:
        raise InputError(f"{session} holds no film")
    labels = film.with_suffix(".xml")
    if not labels.exists():
        return None
    value = next((tag.get("Value", "") for tag in _read(labels).iter("Metatag") if tag.get("Name") == "Emotion"), None)
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        raise InputError(f"{labels} says Emotion {value[:40]!r}, expected a number") from None
    if number not in EMOTIONS:
        return None
    view = ""
    about = session / "session.xml"
    if about.exists():
        view = next((track.get("view", "") for track in _read(about).iter("track")), "").lower()
    if view in PROFILE:
        raise InputError(f"{film} shows the face from the side only")
    subject = film.stem.split("-")[0]
    return Recording(f"{film.stem}_{session.name}", subject, EMOTIONS[number], video=film, both_views=view in DUAL)


def _read(path: Path) -> Element:
    try:
        root = parse(path).getroot()
    except ParseError as error:
        raise InputError(f"{path} is no XML: {error}") from None
    except DefusedXmlException as error:
        raise InputError(f"{path} is XML that plays tricks ({type(error).__name__}); it was not read") from None
    except (OSError, LookupError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if root is None:
        raise InputError(f"{path} is empty")
    return root


READER = DatasetReader(
    title="MMI",
    about=f"MMI from its official folders: {PUBLISHED.sequences} films of {PUBLISHED.subjects} subjects, whole from onset to offset.",
    source="Folder with Sessions.",
    read=lambda source, options: find(source),
    example="tfen prepare mmi ~/MMI prepared/mmi --align none",
    published=PUBLISHED,
)
