"""Contact sheets: many faces at one look."""

from pathlib import Path

import cv2
import numpy as np

from tfen.data.prepared import PreparedSet
from tfen.data.sampling import middle_frames
from tfen.files import whole_file
from tfen.video.photographs import read_image


def contact_sheet(dataset: PreparedSet, path: Path, subjects: int = 6, steps: int = 3, cell: int = 96) -> None:
    """Write a picture: a row for each of some subjects, for every expression `steps` frames from first to last."""
    names = dataset.subjects[:: max(1, len(dataset.subjects) // subjects)][:subjects]
    label, margin = 22, 6
    columns = dataset.expressions
    width = label * 4 + len(columns) * (steps * cell + margin)
    sheet = np.full((label + len(names) * (cell + margin), width, 3), 255, np.uint8)

    def write(text: str, x: int, y: int) -> None:
        cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)

    for c, expression in enumerate(columns):
        write(expression, label * 4 + c * (steps * cell + margin), 15)
    for r, subject in enumerate(names):
        top = label + r * (cell + margin)
        write(subject, 4, top + cell // 2)
        for c, expression in enumerate(columns):
            sequence = next((s for s in dataset.of_subjects({subject}) if s.expression == expression), None)
            if sequence is None:
                continue
            files = dataset.frame_files(sequence)
            chosen = (
                np.linspace(0, len(files) - 1, steps).round().astype(int) if steps > 1 else middle_frames(len(files), 1)
            )
            for k, number in enumerate(chosen):
                left = label * 4 + c * (steps * cell + margin) + k * cell
                frame = cv2.resize(read_image(files[number]), (cell, cell), interpolation=cv2.INTER_AREA)
                sheet[top : top + cell, left : left + cell] = frame
    with whole_file(path) as part:
        suffix = path.suffix.lower() if path.suffix.lower() in (".png", ".jpg", ".jpeg") else ".png"
        part.write_bytes(cv2.imencode(suffix, sheet[..., ::-1])[1].tobytes())
